"""Presets against the numbers that were published, written out."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import pdist

import datasets
from datasets import DATASETS
from datasets.presets import PRESETS, expand

RING = {"name": "ring", "modes": 8}

PUBLISHED: dict[str, dict[str, object]] = {
    "ring_veegan": {**RING, "radius": 1.0, "std": 0.01},
    "ring_wgan_gp_code": {**RING, "radius": 1.4144271570014144, "std": 0.014144271570014145},
    "ring_gradient_regularized": {**RING, "radius": 2.0, "std": 0.02},
    "ring_self_conditioned": {**RING, "radius": 2.0, "std": 0.01},
    "ring_paired": {**RING, "radius": 2.0, "std": 0.1},
    "ring_unrolled_notebook": {"name": "unrolled_ring", "angles": 8, "radius": 1.0, "std": 0.01},
    "grid_veegan": {"name": "grid", "side": 5, "spacing": 2.0, "std": 0.05},
    "grid_wgan_gp_code": {"name": "grid", "side": 5, "spacing": 0.7072135785007072, "std": 0.017680339462517684},
    "grid_paired_3x3": {"name": "grid", "side": 3, "spacing": 1.5, "std": 0.1},
    "grid_paired_4x4": {"name": "grid", "side": 4, "spacing": 1.5, "std": 0.1},
    "grid_paired_5x5": {"name": "grid", "side": 5, "spacing": 1.5, "std": 0.1},
    "grid_paired_6x6": {"name": "grid", "side": 6, "spacing": 1.5, "std": 0.1},
    "grid_paired_7x7": {"name": "grid", "side": 7, "spacing": 1.5, "std": 0.1},
    "swiss_roll_wgan_gp": {"name": "swiss_roll", "noise": 0.25, "divisor": 7.5},
}

MODES = {
    "ring_veegan": (8, 1.0),
    "ring_wgan_gp_code": (8, 2 / 1.414),
    "ring_gradient_regularized": (8, 2.0),
    "ring_self_conditioned": (8, 2.0),
    "ring_paired": (8, 2.0),
    "ring_unrolled_notebook": (7, 1.0),
    "grid_veegan": (25, 4 * 2**0.5),
    "grid_wgan_gp_code": (25, 4 * 2**0.5 / 2.828),
    "grid_paired_3x3": (9, 1.5 * 2**0.5),
    "grid_paired_4x4": (16, 2.25 * 2**0.5),
    "grid_paired_5x5": (25, 3 * 2**0.5),
    "grid_paired_6x6": (36, 3.75 * 2**0.5),
    "grid_paired_7x7": (49, 4.5 * 2**0.5),
}
"""How many distinct modes there are, and how far the farthest lies from the origin."""


def test_the_numbers_are_written_out_for_all() -> None:
    assert PUBLISHED.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_word_gives_the_published_settings(name: str) -> None:
    assert expand(name) == PUBLISHED[name]
    assert expand({"name": name}) == PUBLISHED[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_builds_and_sets_all_that_its_data_set_has(name: str) -> None:
    """A default that changes must not change what a published name means."""
    preset = PRESETS[name]
    dataset = DATASETS[preset.dataset](**preset.settings)
    assert vars(dataset) == dict(preset.settings)
    assert name == preset.name
    assert preset.source.strip() == preset.source != ""
    assert "\n" not in preset.source


@pytest.mark.parametrize("name", MODES)
def test_modes_and_radius(name: str) -> None:
    preset = PRESETS[name]
    means = DATASETS[preset.dataset](**preset.settings).means().numpy()
    modes, radius = MODES[name]
    assert len(means) == modes
    assert pdist(means).min() > 12 * preset.settings["std"]
    assert np.linalg.norm(means, axis=1).max() == pytest.approx(radius, rel=1e-12)


def test_veegans_ring_is_half_the_default_on_the_same_angles() -> None:
    settings = {key: value for key, value in PUBLISHED["ring_veegan"].items() if key != "name"}
    np.testing.assert_allclose(DATASETS["ring"](**settings).means() * 2, DATASETS["ring"]().means(), atol=1e-15)


def test_own_settings_win() -> None:
    block = {"name": "ring_veegan", "std": 0.02}
    assert expand(block) == {"name": "ring", "modes": 8, "radius": 1.0, "std": 0.02}
    assert block == {"name": "ring_veegan", "std": 0.02}
    assert PRESETS["ring_veegan"].settings["std"] == 0.01


def test_a_wrong_setting_stays_to_be_refused() -> None:
    assert expand({"name": "ring_veegan", "side": 3}) == {
        "name": "ring",
        "modes": 8,
        "radius": 1.0,
        "std": 0.01,
        "side": 3,
    }


@pytest.mark.parametrize(
    "raw",
    ["ring", "rnig_veegan", {"name": "grid", "side": 3}, {"modes": 8}, {"name": ["ring_veegan"]}, 7, None, ["ring"]],
)
def test_what_names_no_preset_is_left_alone(raw: object) -> None:
    assert expand(raw) is raw


def test_no_preset_hides_a_data_set() -> None:
    assert not PRESETS.keys() & DATASETS.keys()


def test_presets_need_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import runpy; runpy.run_path('datasets/presets.py')"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(datasets.__file__).parent.parent, timeout=60)
