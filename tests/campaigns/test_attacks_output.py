"""S5, S6, S7, S11 and S12: strangers' texts in pages, papers, spreadsheets and terminals, and secrets in anything."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from attacks import ESCAPES, FORMULAS, HTML, LATEX
from browser import CHROMIUM, Browser, browser
from commands import TINY, Bench
from synthetic import make_world
from table import told
from test_attacks_input import Case, patiently, watched
from test_latex import compiled, needs_pdflatex, set_text
from test_report_page import Skeleton, skeleton
from test_report_tables import table_of, visible

from bench import records
from bench.cell import canonical, flatten
from bench.report import build, train
from bench.report.tables import latex

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

# --- a results folder with a text of one's own in one place


def _in_rows(column: str) -> Callable[[Path, str], None]:
    def change(folder: Path, text: str) -> None:
        for path in sorted((folder / records.RUNS).iterdir()):
            records.publish(records.load_run(path).assign(**{column: text}), folder)

    return change


def _as_reason(folder: Path, text: str) -> None:
    """Of a run that was not trained, which a page tells."""
    path = min((folder / records.RUNS).iterdir())
    row = records.load_run(path).head(1)
    records.publish(row.assign(status="skipped", message=text, step=0), folder)


def _in_settings(*path: str) -> Callable[[Path, str], None]:
    """In the settings of every cell, as the manifest and the records tell them."""

    def change(folder: Path, text: str) -> None:
        manifest = records.load_manifest(folder)
        for cell in manifest["cells"]:
            block = cell["settings"]
            for key in path[:-1]:
                block = block[key]
            block[path[-1]] = text
            told = {**dict(flatten(cell["settings"])), "settings": canonical(cell["settings"])}
            for seed in cell["seeds"]:
                run = folder / records.RUNS / f"{cell['cell_id']}-s{seed}.parquet"
                records.publish(records.load_run(run).assign(**told), folder)
        (folder / records.MANIFEST).write_text(json.dumps(manifest))

    return change


def _in_manifest(key: str, shape: Callable[[str], Any]) -> Callable[[Path, str], None]:
    def change(folder: Path, text: str) -> None:
        manifest = records.load_manifest(folder)
        (folder / records.MANIFEST).write_text(json.dumps(manifest | {key: shape(text)}))

    return change


def _as_file(folder: Path, text: str) -> None:
    name = text.replace("/", "\u2215").replace("\0", "")[:80]
    (folder / records.RUNS / f"{name}.txt").write_text("")


FIELDS: dict[str, Callable[[Path, str], None]] = {
    "message": _as_reason,
    "message of a failed run": _in_rows("message"),
    "traceback": _in_rows("traceback"),
    "device_name": _in_rows("device_name"),
    "plug-in's name": _in_settings("objective"),
    "data set's name": _in_settings("dataset", "name"),
    "arm": _in_settings("arm"),
    "setting": _in_settings("generator", "note"),
    "description": _in_manifest("description", str),
    "grid": _in_manifest("grid", str),
    "grid file": _in_manifest("grid_source", str),
    "override": _in_manifest("overrides", lambda text: [text]),
    "command": _in_manifest("command", lambda text: ["python", "-m", "bench", text]),
    "version": _in_manifest("versions", lambda text: {text: text}),
    "published": _in_manifest(
        "published",
        lambda text: [{"source": text, "where": {"objective": "wgan_clip"}, "values": {"emd": [0.5, 0.1]}}],
    ),
    "file name": _as_file,
}
UNSEEN = {"traceback", "message of a failed run"}
"""What no page shows."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small grid, of whose runs one failed."""
    return make_world(
        tmp_path_factory.mktemp("world") / "small", objectives=["wgan_clip"], datasets=["ring"], seeds=[1, 2]
    )


def page(world: Path, folder: Path, field: str, text: str) -> Path:
    """The page of the folder with this text in this field."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(world, folder)
    FIELDS[field](folder, text)
    build(folder)
    return folder / "report.html"


# --- S5: pages


def asked(payloads: list[str], sparse: bool) -> list[tuple[str, str]]:
    """Every payload in every field; where sparse, every fourth one once, in fields that take turns."""
    if sparse:
        return [(payload, [*FIELDS][3 * index % len(FIELDS)]) for index, payload in enumerate(payloads[::4])]
    return [(payload, field) for field in FIELDS for payload in payloads]


@pytest.mark.usefixtures("undrawn_here")
@pytest.mark.parametrize("sparse", [True, pytest.param(False, marks=pytest.mark.campaign)], ids=["some", "all"])
def test_no_text_adds_to_a_page(world: Path, tmp_path: Path, sparse: bool) -> None:
    cases = asked(HTML, sparse)
    plain: dict[str, Skeleton] = {}
    for payload, field in cases:
        if field not in plain:
            plain[field] = skeleton(page(world, tmp_path / "small", field, "plain words").read_text())
        source = page(world, tmp_path / "small", field, payload).read_text()
        found = skeleton(source)
        assert found.elements == plain[field].elements, (field, payload)
        assert found.addresses == plain[field].addresses
        assert f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' in source
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", source)
        assert field in UNSEEN or "plain words" in plain[field].text
    told("S5", len(cases), len(cases), f"texts in {len(FIELDS)} fields, read by html.parser")


@pytest.fixture
def undrawn_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures, which take most of the time."""
    monkeypatch.setattr(train, "drawings", lambda view, load: [])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


DOM = (
    "[...document.querySelectorAll('*')].map(e => [e.tagName, ...[...e.attributes].map(a => a.name)].join(' ')).join()"
)


@pytest.mark.campaign
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
@pytest.mark.usefixtures("undrawn_here")
def test_no_text_adds_to_a_page_in_chromium(chromium: Browser, world: Path, tmp_path: Path) -> None:
    """As a browser builds it: the same elements and attributes, nothing asked for, nothing to complain of."""
    cases, plain = asked(HTML, sparse=False), {}
    for payload, field in cases:
        if field not in plain:
            chromium.open(page(world, tmp_path / "small", field, "plain words"), 1400)
            plain[field] = chromium.ask(DOM)
        chromium.open(page(world, tmp_path / "small", field, payload), 1400)
        assert chromium.ask(DOM) == plain[field], (field, payload)
        assert (chromium.requests, chromium.complaints) == ([], []), (field, payload)
    told("S5", len(cases), len(cases), f"texts in {len(FIELDS)} fields, in Chromium: no request, no complaint")


@pytest.mark.campaign
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
def test_a_page_with_figures_is_quiet(chromium: Browser, world: Path, tmp_path: Path) -> None:
    """Every payload at once in every field, and the figures drawn with them."""
    shutil.copytree(world, tmp_path / "small")
    text = " ".join(HTML)
    for field in ("message", "plug-in's name", "data set's name", "description", "grid", "grid file", "command"):
        FIELDS[field](tmp_path / "small", text)
    build(tmp_path / "small")
    chromium.open(tmp_path / "small" / "report.html", 1400)
    assert (chromium.requests, chromium.complaints) == ([], [])
    assert chromium.ask("document.images.length") > 1
    assert chromium.ask("document.scripts.length + document.querySelectorAll('iframe, object, form, svg').length") == 0


# --- S6: papers


@needs_pdflatex
@pytest.mark.parametrize("count", [8, pytest.param(len(LATEX), marks=pytest.mark.campaign)])
def test_texts_are_set_as_they_are(tmp_path: Path, count: int) -> None:
    """In a title, a caption, a heading and a cell; each before a number, by which its page is found."""
    words = LATEX[:count]
    body = "\n".join(rf"{latex(table_of(text))}\clearpage N{index:03}\clearpage" for index, text in enumerate(words))
    compiled(tmp_path, r"\documentclass{article}\usepackage{booktabs}", body.replace("{table*}", "{table}"))
    pages = set_text(tmp_path)
    for index, text in enumerate(words):
        own, _, pages = pages.partition(f"N{index:03}")
        own = _as_drawn(own)
        assert "root:x:0" not in own
        assert own.count(_as_drawn("".join(visible(text).split()))) >= 3, (text, own)
    assert not {path.name for path in tmp_path.iterdir()} - {"a.tex", "a.log", "a.aux", "a.pdf"}
    told("S6", count, count, "texts in one document, compiled by pdflatex without a shell, read back by pdftotext")


def _as_drawn(text: str) -> str:
    """With the characters of a typewriter for those that a paper has in their place; `_` is a rule there."""
    text = unicodedata.normalize("NFKC", text.replace("\u02dc", "~").replace("_", ""))
    for drawn, typed in {"\u02c6": "^", "\u2019": "'", "\u2018": "`", "\u201d": '"'}.items():
        text = text.replace(drawn, typed)
    return text


@pytest.mark.campaign
@needs_pdflatex
def test_the_files_of_a_report_compile(world: Path, tmp_path: Path, undrawn_here: None) -> None:
    """The tables and the numbers that a report leaves, with every text in every field that they show."""
    for index, text in enumerate(LATEX):
        folder = tmp_path / f"{index}"
        shutil.copytree(world, folder)
        for field in ("message", "plug-in's name", "data set's name", "arm", "description", "grid", "published"):
            FIELDS[field](folder, text)
        build(folder)
        body = "\n".join(
            path.read_text() for path in sorted((folder / "tables").glob("*.tex")) if "numbers" not in path.name
        )
        start = r"\documentclass{article}\usepackage{booktabs}" + (folder / "tables" / "numbers.tex").read_text()
        compiled(folder, start, body.replace("{table*}", "{table}"))
    told("S6", len(LATEX), len(LATEX), "texts in 7 fields of a report whose tables and numbers compile")


# --- S7: spreadsheets


@pytest.mark.usefixtures("undrawn_here")
@pytest.mark.parametrize("count", [1, pytest.param(len(FORMULAS), marks=pytest.mark.campaign)])
def test_no_cell_is_a_formula(world: Path, tmp_path: Path, count: int) -> None:
    """In the tables of a report and in what is exported of all rows."""
    fields = ("message", "plug-in's name", "data set's name", "arm", "setting", "device_name", "published")
    folders = [tmp_path / f"{index}" for index in range(count)]
    for folder, text in zip(folders, FORMULAS, strict=False):
        shutil.copytree(world, folder)
        for field in fields:
            FIELDS[field](folder, text)
        build(folder)
    exported, _ = watched([(tmp_path, ["export", folder.name, "--to", "csv"]) for folder in folders], tmp_path)
    cells = 0
    for folder, text, one in zip(folders, FORMULAS, exported, strict=False):
        assert one.code == 0, one
        for path in [*(folder / "tables").glob("*.csv"), folder / "results.csv"]:
            for row in csv.reader(io.StringIO(path.read_text())):
                for cell in row:
                    cells += visible(text).strip() in cell
                    assert _is_number(cell) or not cell.lstrip().startswith(tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20"))
        assert cells
    told("S7", count, count, f"texts in {len(fields)} fields of tables and of an export, {cells} cells")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# --- S11: secrets

FAILING = """\
from dataclasses import replace
import os
from objectives.minimax import OBJECTIVE
def broken(*_):
    raise RuntimeError("no such file: " + os.path.join(os.getcwd(), "x") + " of " + os.path.expanduser("~/y"))
OBJECTIVES = [replace(OBJECTIVE, name="broken", critic_loss=broken)]
"""


class Elsewhere(Bench):
    """On a machine of another name, where a process may have a machine's name of its own: for root, on Linux."""

    host = ""

    def _words(self, words: Sequence[str | Path]) -> list[str]:
        rename = ["unshare", "--uts", "sh", "-c", f'hostname {self.host} && exec "$@"', "sh"]
        may = shutil.which("unshare") and subprocess.run([*rename, "true"], capture_output=True).returncode == 0
        return [*(rename if may else []), *super()._words(words)]


@pytest.mark.campaign
def test_no_secret_is_left_anywhere(tmp_path: Path) -> None:
    """A run of which one half fails, from a home, under names and with an environment that nobody should read of."""
    secrets = {name: f"canary{index:02}{os.urandom(4).hex()}" for index, name in enumerate(SECRET)}
    home = tmp_path / secrets["home"]
    folder = home / secrets["folder"]
    folder.mkdir(parents=True)
    bench = Elsewhere(folder)
    bench.host = secrets["hostname"]
    environment = {name: secrets[name] for name in ENVIRONMENT}
    remote = f"https://{secrets['git user']}:{secrets['git token']}@{secrets['git host']}/{secrets['git path']}.git"
    git = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": "remote.origin.url", "GIT_CONFIG_VALUE_0": remote}
    git |= {"GIT_CONFIG_KEY_1": "user.email", "GIT_CONFIG_VALUE_1": f"{secrets['git email']}@example.org"}
    bench.environment |= {**environment, **git, "HOME": str(home)}
    bench.environment |= {"USER": secrets["user"], "LOGNAME": secrets["user"]}
    (folder / "plug.py").write_text(FAILING)
    (folder / secrets["grid folder"]).mkdir()
    grid = folder / secrets["grid folder"] / "tiny.yaml"
    grid.write_text(TINY.replace("objective: [non_saturating,", "objective: [broken, non_saturating,"))
    out = folder / secrets["out folder"] / "out"
    done = patiently(bench, "run", "--grid", grid, "--out", out, "--plugin", folder / "plug.py", "--way", "vmap")
    assert done.returncode == 1, done.stdout + done.stderr
    assert bench("export", out, "--to", "csv", "--out", out / "all.csv").returncode == 0
    found = []
    for path in [path for path in out.rglob("*") if path.is_file()]:
        text = _everything(path)
        found += [(name, str(path.relative_to(out))) for name, secret in secrets.items() if secret in text]
    told(
        "S11", len(secrets), len(secrets) - len({name for name, _ in found}), "canaries around a run that fails in part"
    )
    assert not found
    for command in (["status", out], ["doctor", out]):
        bench(*command)


ENVIRONMENT = (
    "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "GITHUB_TOKEN", "HF_TOKEN", "WANDB_API_KEY", "OPENAI_API_KEY",
    "DATABASE_URL", "SSH_AUTH_SOCK", "SLURM_JWT", "MY_PASSWORD", "NETRC",
)  # fmt: skip
SECRET = (
    *ENVIRONMENT, "home", "folder", "grid folder", "out folder", "git user", "git token", "git host", "git path",
    "git email", "user", "hostname",
)  # fmt: skip


def _everything(path: Path) -> str:
    """What a file says: its bytes, and what is packed in them."""
    text = path.name + path.read_bytes().decode("latin-1")
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        text += frame.to_json() + " ".join(frame.columns)
    if path.suffix == ".pdf" and shutil.which("pdftotext"):
        text += subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True).stdout
    return text


# --- S12: terminals


@pytest.mark.parametrize("count", [1, pytest.param(len(ESCAPES), marks=pytest.mark.campaign)])
def test_words_of_commands_are_printed_escaped(tmp_path: Path, count: int) -> None:
    """Whatever is said of a wrong word says it on one line, without a character that a terminal would act on."""
    cases: list[Case] = []
    for text in ESCAPES[:count]:
        for words in (
            ["check", text], ["check", f"{text}.yaml"], ["run", "--grid", text], [text], ["list", text],
            ["run", "--grid", "g.yaml", "--set", text], ["run", "--grid", "g.yaml", "--set", f"steps={text}"],
            ["run", "--grid", "g.yaml", f"--{text}"], ["run", "--grid", "g.yaml", "--device", text],
            ["run", "--grid", "g.yaml", "--seeds", text], ["check", "g.yaml", text], ["status", text],
            ["check", "g.yaml", "--plugin", text], ["report", text], ["export", text, "--to", "csv"], ["doctor", text],
            ["claims", "--only", text, "--dry-run"], ["report", ".", "--metrics", text], ["compare", text, text],
            ["report", ".", "--digits", text],
        ):  # fmt: skip
            cases.append((tmp_path, words))
    (tmp_path / "g.yaml").write_text(TINY)
    found, _ = watched(cases, tmp_path)
    misses = []
    for (_, words), one in zip(cases, found, strict=True):
        said = one.out + one.err
        if one.code not in (0, 1, 2) or not said.replace("\n", "").isprintable() or one.err.count("\n") > 1:
            misses.append((words, one.code, said))
    told("S12", len(cases), len(cases) - len(misses), "commands with terminal codes in their words")
    assert not misses, misses


NOISY = """\
from dataclasses import replace
from objectives.minimax import OBJECTIVE
def broken(*_):
    raise RuntimeError({text!r} + "\\nmore " + {text!r})
OBJECTIVES = [replace(OBJECTIVE, name="broken", critic_loss=broken)]
"""


@pytest.mark.campaign
def test_exceptions_are_printed_escaped(tmp_path: Path) -> None:
    """What a run fails with, as the run, `status`, `report` and `doctor` tell it."""
    bench = Bench(tmp_path)
    grid = bench.grid(
        TINY.replace("objective: [non_saturating, {name: wgan_gp, critic_steps: 2}]", "objective: broken")
    )
    (tmp_path / "plug.py").write_text(NOISY.format(text=" ".join(ESCAPES)))
    ran = patiently(bench, "run", "--grid", grid, "--out", "out", "--plugin", "plug.py", "--way", "vmap")
    assert ran.returncode == 1, ran.stdout + ran.stderr
    frame, _ = records.load(tmp_path / "out")
    assert frame["message"].str.contains("red").all(), "else nothing is shown"
    misses = []
    for words in (None, ["status", "out"], ["report", "out"], ["doctor", "out"], ["compare", "out", "out"]):
        done = ran if words is None else bench(*words)
        said = done.stdout + done.stderr
        misses += [words] if not said.replace("\n", "").isprintable() or "Traceback" in said else []
    told("S12", len(ESCAPES), len(ESCAPES) if not misses else 0, "terminal codes in an exception, told by 5 commands")
    assert not misses


@pytest.mark.usefixtures("undrawn_here")
def test_records_are_printed_escaped(world: Path, tmp_path: Path) -> None:
    """Records that somebody else has made, as `report`, `status` and `doctor` tell them."""
    cases: list[Case] = []
    for index, field in enumerate(FIELDS):
        folder = tmp_path / f"{index}" / "small"
        shutil.copytree(world, folder)
        FIELDS[field](folder, " ".join(ESCAPES).replace("\n", ""))
        cases += [(folder.parent, [command, "small"]) for command in ("status", "doctor")]
    found, _ = watched(cases, tmp_path)
    misses = []
    for (folder, words), one in zip(cases, found, strict=True):
        said = (one.out + one.err).replace("\n", "")
        if one.code not in (0, 1, 2) or not said.isprintable():
            misses.append(([*FIELDS][int(folder.name)], words, one.code, one.out + one.err))
    told("S12", len(cases), len(cases) - len(misses), f"terminal codes in {len(FIELDS)} fields of records")
    assert not misses, misses[:3]
