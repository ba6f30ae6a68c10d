"""Published data by name: which data set a paper or its code used, with which settings. Pure data, no torch.

A grid file may name a preset wherever it may name a data set, alone or with settings of its own. ``expand`` puts the
plain data set in its place before anything else looks, so that a cell is the same however it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A data set as it was published."""

    name: str
    dataset: str
    """A name in ``datasets.DATASETS``."""
    settings: Mapping[str, float]
    """Of that data set; those left out have its defaults."""
    source: str
    """Who published it, and what else there is to know."""


_PRESETS = (
    Preset(
        name="ring_veegan",
        dataset="ring",
        settings={"modes": 8, "radius": 1.0, "std": 0.01},
        source="Srivastava et al. 2017 (VEEGAN) and Lin et al. 2018 (PacGAN), code of the latter",
    ),
    Preset(
        name="ring_wgan_gp_code",
        dataset="ring",
        settings={"modes": 8, "radius": 2 / 1.414, "std": 0.02 / 1.414},
        source="Gulrajani et al. 2017 (WGAN-GP), gan_toy.py: radius 2 and std .02, divided by 1.414",
    ),
    Preset(
        name="ring_gradient_regularized",
        dataset="ring",
        settings={"modes": 8, "radius": 2.0, "std": 0.02},
        source="Nagarajan & Kolter 2017, code gradient_regularized_gan: as in the paper of unrolled GANs",
    ),
    Preset(
        name="ring_self_conditioned",
        dataset="ring",
        settings={"modes": 8, "radius": 2.0, "std": 0.01},
        source="Liu et al. 2020 (self-conditioned GAN), code 2d_mix: variance 1e-4; quality by the box rule",
    ),
    Preset(
        name="ring_paired",
        dataset="ring",
        settings={"modes": 8, "radius": 2.0, "std": 0.1},
        source="code paired-discriminator: a mode counts with 1 % of the mass",
    ),
    Preset(
        name="ring_unrolled_notebook",
        dataset="unrolled_ring",
        settings={"angles": 8, "radius": 1.0, "std": 0.01},
        source="Metz et al. 2017 (unrolled GAN), demo notebook: linspace with both ends, 7 modes, one of double weight",
    ),
    Preset(
        name="grid_veegan",
        dataset="grid",
        settings={"side": 5, "spacing": 2.0, "std": 0.05},
        source="Srivastava et al. 2017 (VEEGAN) and Lin et al. 2018 (PacGAN), code of the latter",
    ),
    Preset(
        name="grid_wgan_gp_code",
        dataset="grid",
        settings={"side": 5, "spacing": 2 / 2.828, "std": 0.05 / 2.828},
        source="Gulrajani et al. 2017 (WGAN-GP), gan_toy.py: spacing 2 and std .05, divided by 2.828",
    ),
    *(
        Preset(
            name=f"grid_paired_{side}x{side}",
            dataset="grid",
            settings={"side": side, "spacing": 1.5, "std": 0.1},
            source="code paired-discriminator: a mode counts with 1 % of the mass",
        )
        for side in range(3, 8)
    ),
    Preset(
        name="swiss_roll_wgan_gp",
        dataset="swiss_roll",
        settings={"noise": 0.25, "divisor": 7.5},
        source="Gulrajani et al. 2017 (WGAN-GP), gan_toy.py",
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _PRESETS}
"""Every preset that a grid file can name in place of a data set."""


def expand(raw: object) -> object:
    """What a grid file says of a data set, a word or a block with a name, with the preset that it names put in place.

    The block's own settings win over the preset's. What names no preset comes back as it is, right or wrong.
    """
    own = raw if isinstance(raw, Mapping) else {"name": raw}
    name = own.get("name")
    if not isinstance(name, str) or name not in PRESETS:
        return raw
    preset = PRESETS[name]
    return {**preset.settings, **own, "name": preset.dataset}
