"""The report of timings, on records of a machine whose times are set down beforehand."""

from __future__ import annotations

import csv
import io
import math
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from synthetic import COMMIT, settings_of, write_manifest
from test_report_figures import CVD, lab, linear

from bench import records
from bench.cell import SCHEMA_VERSION, canonical, flatten
from bench.report import style, throughput, view
from bench.report.figures import Drawing
from bench.report.tables import Heading, Part, Row, Table, csv_text, latex, markdown

MATMUL, COPY = 80e9, 10e9
"""Of the machine, in operations and bytes a second."""

OVERHEAD = {"plain": 4.0, "loop": 3.6, "vmap": 3.0, "compiled": 1.2}
SHARE = {"plain": 0.25, "loop": 0.26, "vmap": 0.4, "compiled": 0.65}
"""Of each way, the milliseconds that a step takes however many replicas it has (of loops: for each of them), and the
share of the matmul rate that the rest reaches."""

NO_DEVICE = "a CUDA graph needs a CUDA device"
WAYS = (*OVERHEAD, "cuda_graph")


def settings(objective: str, way: str, replicas: int, width: int = 128, **more: Any) -> dict[str, Any]:
    networks = {player: {"name": "mlp", "depth": 3, "width": width} for player in ("generator", "critic")}
    own = {**settings_of(objective, "ring"), **networks, "batch_size": 128, "steps": 2000}
    del own["evaluate"]
    return own | {"way": way, "replicas": replicas, "processes": 1, "rounds": 9, "seconds": 0.0} | more


def operations(width: int, critic_steps: int) -> float:
    """Of one replica's step, roughly: 2 hidden matrices, 3 passes, for each update."""
    return 2.0 * 128 * 2 * width**2 * 3 * (1 + 2 * critic_steps)


def milliseconds(own: dict[str, Any]) -> float:
    """Of one step of all replicas."""
    way, replicas = own["way"], own["replicas"]
    updates = (1 + own["critic_steps"]) / 2
    work = 1e3 * operations(own["critic"]["width"], own["critic_steps"]) / (SHARE[way] * MATMUL)
    return OVERHEAD[way] * updates * (replicas if way in ("plain", "loop") else 1) + replicas * work


def row_of(own: dict[str, Any], cell_id: str, chosen: str, **more: Any) -> dict[str, Any]:
    """The row of a run that was timed."""
    time, replicas = milliseconds(own), own["replicas"]
    speedup = milliseconds(own | {"way": "plain"}) / time
    flops = replicas * operations(own["critic"]["width"], own["critic_steps"])
    return identity(own, cell_id) | {
        "step": 90, "status": "ok", "step_ms": time, "step_ms_low": 0.97 * time, "step_ms_high": 1.08 * time,
        "rounds": 9.0, "replica_steps_per_second": 1000 * replicas / time,
        "first_step_seconds": {"compiled": 12.5, "vmap": 0.4}.get(own["way"], 0.1),
        "peak_memory_bytes": 2e6 * replicas, "flops": flops, "bytes": 3e6 * replicas,
        "matmul_flops_per_second": MATMUL, "copy_bytes_per_second": COPY,
        "matmul_share": flops / (time / 1e3 * MATMUL), "bandwidth_share": 3e6 * replicas / (time / 1e3 * COPY),
        "energy_joules": math.nan, "speedup": speedup, "speedup_low": 0.95 * speedup, "speedup_high": 1.02 * speedup,
        "chosen": float(own["way"] == chosen), "scaling": math.nan, "wall_seconds": 1.0, "device": "cpu",
        "device_name": "a processor", "torch_version": "2.14.1", **more,
    }  # fmt: skip


def identity(own: dict[str, Any], cell_id: str) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION, "grid": "modes", "cell_id": cell_id, "run_id": f"{cell_id}-s0", "seed": 0,
        "message": "", "experiment": "throughput", **dict(flatten(own)), "settings": canonical(own),
        "git_commit": COMMIT, "git_dirty": False,
    }  # fmt: skip


Change = Callable[[dict[str, Any]], dict[str, Any] | None]
"""What becomes of a row; None: no record."""


def keep(row: dict[str, Any]) -> dict[str, Any]:
    return row


def make_timings(
    folder: Path, shapes: Sequence[dict[str, Any]], *, chosen: str = "compiled", change: Change = keep
) -> Path:
    """Write the records of shapes, arguments of ``settings`` without the way: four ways timed, one skipped."""
    cells = []
    for number, shape in enumerate(shapes):
        for way in WAYS:
            own = settings(way=way, **shape)
            cell_id = f"{shape['objective']}-{number}-{way}"
            cells.append({"cell_id": cell_id, "settings": own, "seeds": [0]})
            row = change(
                identity(own, cell_id) | {"step": 0, "status": "skipped", "message": NO_DEVICE}
                if way == "cuda_graph"
                else row_of(own, cell_id, chosen)
            )
            if row is not None:
                records.publish(pd.DataFrame([row]), folder)
    write_manifest(folder, cells)
    return folder


def several(objectives: Sequence[str], replicas: Sequence[int], **more: Any) -> list[dict[str, Any]]:
    return [{"objective": name, "replicas": count, **more} for name in objectives for count in replicas]


def entries(table: Table) -> list[Mapping[str, Any]]:
    keys = [heading.key for heading in table.headings]
    return [dict(zip(keys, row.entries, strict=True)) for part in table.parts for row in part.rows]


def read(folder: Path) -> tuple[dict[str, Table], dict[str, Drawing]]:
    found = view.read(folder)
    with style.applied():
        drawn = {drawing.name: drawing for drawing in throughput.drawings(found, lambda cell, seed: None)}
    return {table.name: table for table in throughput.tables(found)}, drawn


GRID = [
    *several(("wgan_gp", "non_saturating"), (1, 16), width=128),
    *several(("wgan_gp", "non_saturating"), (1, 16), width=32),
    {"objective": "minimax", "replicas": 16, "width": 128},
    {"objective": "wgan_gp", "replicas": 4, "width": 128, "processes": 2},
]


def spoil(row: dict[str, Any]) -> dict[str, Any] | None:
    """One way without memory, one without a record, one that is faster than the choice."""
    shape = (row["objective"], row["replicas"], row["way"], row["critic.width"])
    if shape == ("wgan_gp", 16, "vmap", 128):
        gone = {"step": 0, "status": "oom", "message": "RuntimeError: no memory."}
        return {key: row[key] for key in identity(settings("wgan_gp", "vmap", 16), "")} | gone
    if shape == ("non_saturating", 1, "vmap", 32):
        return None
    if shape == ("non_saturating", 16, "loop", 32):
        return row | {name: row[name] / 200 for name in ("step_ms", "step_ms_low", "step_ms_high")}
    if shape == ("minimax", 16, "compiled", 128):  # within the tolerance of the loop
        loop = milliseconds(settings("minimax", "loop", 16))
        return row | {"step_ms": 1.02 * loop}
    return row | ({"scaling": 1.9} if row["processes"] == 2 and row["status"] == "ok" else {})


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Table], dict[str, Drawing]]:
    return read(make_timings(tmp_path_factory.mktemp("throughput"), GRID, change=spoil))


@pytest.fixture(scope="module")
def made(shown: tuple[dict[str, Table], dict[str, Drawing]]) -> dict[str, Table]:
    return shown[0]


def test_each_network_has_a_table_of_times_and_one_of_costs(made: dict[str, Table]) -> None:
    assert list(made) == [
        "throughput_mlp_3_x_128", "cost_mlp_3_x_128", "throughput_mlp_3_x_32", "cost_mlp_3_x_32", "scaling",
    ]  # fmt: skip
    parts = [part.title for part in made["throughput_mlp_3_x_128"].parts]
    assert parts == ["ring, batch 128, 5 critic steps", "ring, batch 128, 1 critic step"]
    rows = [(row["objective"], row["replicas"]) for row in entries(made["throughput_mlp_3_x_128"])]
    assert rows == [("wgan_gp", 1), ("wgan_gp", 16), ("non_saturating", 1), ("non_saturating", 16), ("minimax", 16)]


def test_times_are_of_one_replica_and_the_speedup_is_of_the_choice(made: dict[str, Table]) -> None:
    table = made["throughput_mlp_3_x_128"]
    assert "cuda_graph_ms" not in [heading.key for heading in table.headings]  # no row has a time
    row = entries(table)[3]
    time = {way: milliseconds(settings("non_saturating", way, 16)) for way in OVERHEAD}
    for way in OVERHEAD:
        ends = [row[f"{way}_ms{end}"] for end in ("", "_low", "_high")]
        assert ends == pytest.approx([time[way] / 16 * factor for factor in (1, 0.97, 1.08)])
    speedup = row["speedup"]
    assert (speedup.value, speedup.n) == (pytest.approx(time["plain"] / time["compiled"]), 9)
    assert (speedup.low, speedup.high) == pytest.approx((0.95 * speedup.value, 1.02 * speedup.value))
    assert row["replica_steps_per_second"] == pytest.approx(16 / (time["compiled"] / 1e3))
    assert {row.best for part in table.parts for row in part.rows} == {frozenset({"compiled_ms"})}


def test_costs_are_of_the_choice_and_of_one_replica(made: dict[str, Table]) -> None:
    row = entries(made["cost_mlp_3_x_32"])[1]
    time = milliseconds(settings("wgan_gp", "compiled", 16, 32)) / 1e3
    assert row["choice"] == "compiled"
    assert row["gflop"] == pytest.approx(operations(32, 5) / 1e9)
    assert row["matmul_percent"] == pytest.approx(100 * 16 * operations(32, 5) / time / MATMUL)
    assert row["copy_percent"] == pytest.approx(100 * 16 * 3e6 / time / COPY)
    assert (row["peak_megabytes"], row["first_step_seconds"]) == (32, 12.5)
    assert "millijoules" not in row  # nothing read a meter


def test_what_has_no_time_is_counted_with_its_reason(made: dict[str, Table]) -> None:
    wide, narrow = made["throughput_mlp_3_x_128"], made["throughput_mlp_3_x_32"]
    assert entries(wide)[1]["vmap_ms"] == "oom"
    assert entries(narrow)[2]["vmap_ms"] == "missing"
    for caption in (wide.caption, narrow.caption):
        assert f"cuda_graph {5 if caption == wide.caption else 4} times (skipped: {NO_DEVICE})" in caption
    assert "vmap 1 time (oom: RuntimeError: no memory)" in wide.caption
    assert "vmap 1 time (missing)" in narrow.caption


def test_rows_in_which_the_choice_loses_are_counted_and_named(made: dict[str, Table]) -> None:
    words = "more than 3 % slower than plain or loop"
    assert f"{words}: 0 of 5." in made["throughput_mlp_3_x_128"].caption
    name = "non_saturating with 16 x mlp 3 x 32, ring, batch 128"
    assert f"{words}: 1 of 4 ({name})." in made["throughput_mlp_3_x_32"].caption


def test_processes_beside_each_other_have_a_table_of_their_own(made: dict[str, Table]) -> None:
    rows = entries(made["scaling"])
    assert [(row["way"], row["scaling"]) for row in rows] == [(way, 1.9) for way in OVERHEAD] + [("cuda_graph", None)]
    assert rows[0]["ms"] == pytest.approx(milliseconds(settings("wgan_gp", "plain", 4)) / 4)
    assert rows[-1]["ms"] == "skipped"


def test_where_and_how_is_in_every_caption(made: dict[str, Table]) -> None:
    for table in made.values():
        assert "Timed on a processor (cpu), torch 2.14.1." in table.caption
        assert f"commit {COMMIT[:10]}" in table.caption
    assert "median of 9 rounds" in made["throughput_mlp_3_x_128"].caption
    assert "empty compile cache" in made["cost_mlp_3_x_128"].caption


def test_readers_get_three_digits_and_the_csv_everything(made: dict[str, Table]) -> None:
    table = made["throughput_mlp_3_x_128"]
    text = markdown(table)
    value = milliseconds(settings("non_saturating", "compiled", 16)) / 16
    assert f"**{value:#.3g}**" in text
    assert "_low" not in text
    assert "choice" not in text.split("\n\n")[1]
    [row] = [
        row
        for row in csv.DictReader(io.StringIO(csv_text(table)))
        if (row["objective"], row["replicas"]) == ("non_saturating", "16")
    ]
    assert float(row["compiled_ms"]) == pytest.approx(value, rel=1e-12)
    assert float(row["compiled_ms_high"]) == pytest.approx(1.08 * value, rel=1e-12)
    assert (row["choice"], row["speedup_n"]) == ("compiled", "9")


@pytest.mark.parametrize(
    ("value", "text"), [(0.00123456, "0.00123"), (9.996, "10.0"), (123456.0, "123,456"), (0.0, "0")]
)
def test_significant_digits(value: float, text: str) -> None:
    table = Table("t", "", (Heading("a", "a", digits=3),), (Part("", (Row((value,)),)),))
    assert table.shown()[0][1][0][1][0].value == text


# --- figures


def test_rates_are_drawn_over_replicas_below_the_roof(shown: tuple[dict[str, Table], dict[str, Drawing]]) -> None:
    figure = shown[1]["throughput"].figure
    panels = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == ["wgan_gp", "non_saturating"] * 2  # minimax: one shape
    for axes, (objective, steps, width) in zip(
        panels, [(name, k, w) for w in (128, 32) for name, k in (("wgan_gp", 5), ("non_saturating", 1))], strict=True
    ):
        level = [line for line in axes.lines if line.get_color() == style.INK and len(line.get_xdata()) == 2]
        lines = {line.get_color(): line for line in axes.lines if line not in level and len(line.get_xdata()) == 2}
        for way in ("plain", "loop", "compiled"):
            expected = [1e3 * n / milliseconds(settings(objective, way, n, width)) for n in (1, 16)]
            if (objective, way, width) == ("non_saturating", "loop", 32):
                expected[1] *= 200
            np.testing.assert_allclose(lines[style.WAYS[way]].get_ydata(), expected)
        roofs = [MATMUL / operations(width, steps), COPY / 3e6]
        np.testing.assert_allclose([line.get_ydata()[0] for line in level], roofs[: 1 + (roofs[1] < roofs[0])])
    assert {"matmul rate", "plain", "compiled"} <= {text.get_text() for text in panels[1].texts}


def test_speedups_are_drawn_of_the_shape_with_most_objectives(
    shown: tuple[dict[str, Table], dict[str, Drawing]],
) -> None:
    drawing = shown[1]["speedup"]
    [axes] = drawing.figure.axes
    factor = {
        name: milliseconds(settings(name, "plain", 16)) / milliseconds(settings(name, "compiled", 16))
        for name in ("minimax", "non_saturating", "wgan_gp")
    }
    middles = [line.get_xdata()[0] for line in axes.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(middles, sorted(factor.values(), reverse=True))
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(labels) == ["minimax", "non_saturating", "wgan_gp, 5 critic steps"]
    assert "16 replicas of mlp 3 x 128, ring, batch 128" in drawing.caption


@pytest.mark.parametrize("sight", CVD)
def test_colours_of_ways_can_be_told_apart_and_read(sight: str) -> None:
    seen = {way: lab(np.array(CVD[sight]) @ linear(colour)) for way, colour in style.WAYS.items()}
    for a, b in combinations(seen, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 20, (a, b)
    for colour in style.WAYS.values():
        assert 1.05 / (float(linear(colour) @ [0.2126, 0.7152, 0.0722]) + 0.05) >= 3, colour
    assert set(style.WAYS) == set(WAYS)


# --- the rest


def test_rows_that_differ_in_a_setting_say_so(tmp_path: Path) -> None:
    batches = [{"objective": "wgan_clip", "replicas": 4, "hparams": {"clip": clip}} for clip in (0.01, 0.1)]
    tables, drawn = read(make_timings(tmp_path, batches))
    rows = entries(tables["throughput_mlp_3_x_128"])
    assert [row["objective"] for row in rows] == ["wgan_clip (clip 0.01)", "wgan_clip (clip 0.1)"]
    assert "throughput" not in drawn  # one number of replicas


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_tables_are_cut_to_pages_and_fit_them_with_every_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "MOST_ROWS", 2)
    names = ["non_saturating", "wgan_clip", "wgan_gp"]

    def graph(row: dict[str, Any]) -> dict[str, Any]:
        own = settings(row["objective"], "compiled", 1024)
        return row_of(own, row["cell_id"], "", energy_joules=0.35) | row | {"status": "ok", "chosen": 1.0}

    shapes = several(names, (1024,))
    tables, _ = read(
        make_timings(tmp_path, shapes, chosen="", change=lambda row: graph(row) if row["message"] else row)
    )
    pages = {name: entries(table) for name, table in tables.items()}
    assert list(pages) == [f"{kind}_mlp_3_x_128_part_{k}" for kind in ("throughput", "cost") for k in (1, 2)]
    assert [row["objective"] for name in list(pages)[:2] for row in pages[name]] == names
    assert pages["cost_mlp_3_x_128_part_2"][0]["millijoules"] == pytest.approx(0.35e3 / 1024)
    body = "\n".join(latex(table).replace("table*", "table") for table in tables.values())
    (tmp_path / "a.tex").write_text(
        rf"\documentclass{{article}}\usepackage[textwidth=16cm]{{geometry}}\usepackage{{booktabs}}"
        rf"\begin{{document}}{body}\end{{document}}"
    )
    command = ["pdflatex", "-no-shell-escape", "-halt-on-error", "-interaction=nonstopmode", "a.tex"]
    said = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, errors="replace").stdout
    assert "cuda" in body
    assert "Overfull" not in said


def test_times_of_several_machines_are_told_apart(tmp_path: Path) -> None:
    def elsewhere(row: dict[str, Any]) -> dict[str, Any]:
        return row | ({"device_name": "another"} if row["way"] == "vmap" else {})

    tables, _ = read(make_timings(tmp_path, several(("wgan_gp",), (4,)), change=elsewhere))
    words = "2 different machines or versions, whose times may not be compared: a processor (cpu), torch 2.14.1: 3 runs"
    assert words in tables["throughput_mlp_3_x_128"].caption


def test_a_folder_without_a_run_shows_how_none_ended(tmp_path: Path) -> None:
    tables, drawn = read(make_timings(tmp_path, several(("wgan_gp",), (4,)), change=lambda row: None))
    assert drawn == {}
    [table] = tables.values()
    assert "plain 1 time (missing)" in table.caption
