from __future__ import annotations

import json
import re
import struct
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import pairwise, product
from pathlib import Path

import pytest
from ledgers import example, put

from bench import records
from bench.records import RecordError
from bench.report import Report, cell_settings, html, ledger, page, train, view

PAYLOADS = [
    "<script>alert(1)</script>", "</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    '"><b>x</b>', "'><b>x</b>", '" onmouseover="alert(1)', "' autofocus onfocus='alert(1)", "javascript:alert(1)",
    "</title><b>", "</style><b>", "</pre></code><b>", "</textarea><b>", "<!-- ", "-->", "<![CDATA[", "]]>", "<?php ?>",
    "&lt;b&gt;", "&#60;b&#62;", "&amp;", "{{7*7}}", "{% raw %}", "{{ view.__class__ }}", "${7*7}", "#{7*7}",
    "<%= 7*7 %>",
    "<iframe src=//x>", "<base href=//x>", "<meta http-equiv=refresh content=0>", "<link rel=stylesheet href=//x>",
    "<a href=javascript:alert(1)>x</a>", "<math><mi//xlink:href='data:x'>", "<form action=//x>", "<object data=//x>",
    "\x00<b>", "\x1b[2J", "\u202e<b>", "\ud800<b>", "<b\n>", "+ADw-script+AD4-", "\\u003cb\\u003e", "<scr\x00ipt>",
]  # fmt: skip

TEXTS = ("ink", "soft", "link", "warn", "for", "against", "open")
GROUNDS = ("paper", "tint")
LEAST_CONTRAST = 4.5


class Skeleton(HTMLParser):
    """Counts elements with the names of their attributes, and collects headings, addresses, anchors and text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.starts: list[tuple[str, dict[str, str]]] = []
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[(tag, *(name for name, _ in attrs))] += 1
        self.starts.append((tag, {name: value or "" for name, value in attrs}))
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "action", "data", "srcset")]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.elements["comment",] += 1

    def handle_decl(self, decl: str) -> None:
        self.elements["declaration", decl] += 1

    def handle_pi(self, data: str) -> None:
        self.elements["instruction",] += 1


def skeleton(source: str) -> Skeleton:
    parser = Skeleton()
    parser.feed(source)
    parser.close()
    return parser


def pixels(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height) + b"\x08\2\0\0\0"


def rendered(folder: Path, note: str, judged: ledger.Ledger) -> str:
    found = view.read(folder)
    pictures = [page.Picture(name, note, note, pixels(1400, 700)) for name in ("a", "summary")]
    errors = [*found.errors, RecordError(folder / "runs" / f"{note}.parquet".replace("/", ""), note)]
    return page.render(found, train.tables(found), pictures, errors, judged)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    from synthetic import make_world

    folder = tmp_path_factory.mktemp("plain") / "small"
    make_world(folder, objectives=["wgan_gp"], datasets=["ring"], seeds=[0, 1])
    return skeleton(rendered(folder, "words", ledger.load(put(example(), folder.parent))))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_adds_an_element_or_an_attribute(small: Callable[..., Path], plain: Skeleton, payload: str) -> None:
    stored = payload.replace("\ud800", "\\ud800")  # no Parquet file can hold half a character; a manifest can
    folder = small(objectives=["wgan_gp"], seeds=[0, 1], write=lambda _: stored)
    manifest = folder / records.MANIFEST
    manifest.write_text(manifest.read_text().replace("\\\\ud800", "\\ud800"))
    judged = ledger.load(put(example(lambda _: stored), folder.parent))
    source = rendered(folder, payload, judged)
    found = skeleton(source)
    assert found.elements == plain.elements
    assert found.addresses == plain.addresses
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", source)
    shown = "".join(c if c == "\n" or c.isprintable() else ascii(c)[1:-1] for c in payload)
    assert found.text.count(shown) >= 8


def test_the_page_stands_alone(built: tuple[Path, Report]) -> None:
    source = (built[0] / "report.html").read_text()
    found = skeleton(source)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in source
    assert source.index("Content-Security-Policy") < source.index("<style>")
    anchors = {f"#{attributes['id']}" for _, attributes in found.starts if "id" in attributes}
    outside = [address for address in found.addresses if address not in anchors]
    assert all(address.startswith("data:image/png;base64,") for address in outside)
    assert len(outside) == len(list((built[0] / "figures").glob("*.png")))
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, *_ in found.elements}
    assert "url(" not in source
    assert "http://" not in source
    assert "https://" not in source


def test_the_page_tells_what_was_done_and_how_to_do_it_again(built: tuple[Path, Report]) -> None:
    text = skeleton((built[0] / "report.html").read_text()).text
    for words in (
        "Four objectives.", "8 cells, 8 seeds each; 60 of 64 runs done", "wgan_gp", "25 modes", "Modes covered",
        "Losses",
        "python -m bench run --grid grids/modes.yaml", "objective: [minimax]", "0123456789", "python 3.11.9", "2.14.1",
    ):  # fmt: skip
        assert words in text
    assert str(built[0]) not in text


def test_what_was_asked_comes_first_and_how_to_run_it_again_last(small: Callable[..., Path]) -> None:
    folder = small()
    source = rendered(folder, "words", ledger.load(put(example(), folder.parent)))
    found = skeleton(source)
    anchors = [attributes["id"] for tag, attributes in found.starts if tag == "section"]
    assert anchors == [
        "figure-summary", "claims", "table-quality", "figure-a", "left-out", "settings", "provenance", "again"
    ]  # fmt: skip
    assert source.index("Four objectives.") < source.index("2 cells, 2 seeds each") < source.index("figure-summary")
    listed = [attributes["href"][1:] for tag, attributes in found.starts if tag == "a" and "class" not in attributes]
    assert listed == anchors[1:]
    assert source.count("what C1-tuned says") == 1
    assert "what C2 says" not in source, "it is of another grid"


def test_pictures_are_as_wide_as_their_pixels(small: Callable[..., Path]) -> None:
    assert page.Picture("a", "", "", pixels(1400, 700)).size == (1024, 512)
    assert page.Picture("a", "", "", pixels(900, 1400)).size == (658, 1024)


def test_a_page_is_read_aloud_in_order(small: Callable[..., Path]) -> None:
    folder = small()
    judged = ledger.load(put(example(), folder.parent))
    for source in (rendered(folder, "words", judged), ledger.render(judged)):
        starts = skeleton(source).starts
        tags = [tag for tag, _ in starts]
        levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
        assert tags.count("h1") == tags.count("main") == 1
        assert levels[0] == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))
        assert ("html", {"lang": "en"}) in starts
        for tag, attributes in starts:
            assert tag != "img" or attributes["alt"]
            assert tag != "th" or attributes["scope"] in ("row", "col", "rowgroup")
            assert "tabindex" not in attributes or tag == "pre" or attributes["aria-label"]
        ids = [attributes["id"] for _, attributes in starts if "id" in attributes]
        assert len(ids) == len(set(ids))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_stands_out_in_both_schemes() -> None:
    source = Path(html.__file__).with_name("base.html").read_text()
    schemes = [dict(re.findall(r"--(\w+): (#\w+)", block)) for block in re.findall(r":root \{(.*?)\}", source, re.S)]
    assert len(schemes) == 2
    assert luminance(schemes[0]["paper"]) > 0.9 > 0.1 > luminance(schemes[1]["paper"])
    for scheme, text, ground in product(schemes, TEXTS, GROUNDS):
        high, low = sorted((luminance(scheme[text]), luminance(scheme[ground])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= LEAST_CONTRAST, (text, ground)


def test_it_is_read_on_a_phone_and_in_the_dark(built: tuple[Path, Report]) -> None:
    source = (built[0] / "report.html").read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    assert "@media screen and (prefers-color-scheme: dark)" in source
    assert re.search(r"\.wide \{ overflow-x: auto; \}", source)


def test_settings_that_all_cells_share_are_told_once_and_the_others_by_cell(small: Callable[..., Path]) -> None:
    found = view.read(small(rates=[1e-4, 0.12345678901234]))
    assert cell_settings.shared(found) == [
        ("dataset", "ring, std=0.02"), ("generator, critic", "mlp, depth=3, width=128"),
        ("generator_optimizer", "adam"), ("critic_optimizer", "adam"),
        ("steps", "10000"), ("evaluate", "n=2500, emd_n=1000"),
    ]  # fmt: skip
    table = cell_settings.differing(found)
    assert table is not None
    names = "generator_optimizer, critic_optimizer"
    assert [heading.label for heading in table.headings] == ["objective", names, "critic_steps", "hparams", "cell"]
    assert [row.entries for row in table.parts[0].rows] == [
        ("non_saturating", "lr=0.0001", "1", "", "non_saturating-ring-0.0001"),
        ("non_saturating", "lr=0.123457", "1", "", "non_saturating-ring-0.123457"),
        ("wgan_clip", "lr=0.0001", "5", "clip=0.01", "wgan_clip-ring-0.0001"),
        ("wgan_clip", "lr=0.123457", "5", "clip=0.01", "wgan_clip-ring-0.123457"),
    ]


def test_a_block_that_some_cells_have_is_told_once_but_for_what_differs(small: Callable[..., Path]) -> None:
    folder = small(objectives=["non_saturating"], rates=[1e-4, 1e-3, 1e-2])
    manifest = records.load_manifest(folder)
    for steps, cell in zip((100, 1000), manifest["cells"], strict=False):
        cell["settings"]["frozen"] = {"generator": {"name": "mlp", "depth": 3}, "steps": steps}
    (folder / records.MANIFEST).write_text(json.dumps(manifest))
    found = view.read(folder)
    assert cell_settings.shared(found)[-1] == ("frozen (where there is one)", "generator=mlp, generator.depth=3")
    table = cell_settings.differing(found)
    assert table is not None
    place = [heading.label for heading in table.headings].index("frozen")
    assert [row.entries[place] for row in table.parts[0].rows] == ["steps=100", "steps=1000", ""]


def test_one_cell_differs_from_none(small: Callable[..., Path]) -> None:
    found = view.read(small(objectives=["wgan_gp"]))
    assert cell_settings.differing(found) is None
    assert ("objective", "wgan_gp") in cell_settings.shared(found)


def test_draws_are_numbered_and_a_long_list_says_that_it_is_cut(
    searched: tuple[Path, Report], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = view.read(searched[0])
    monkeypatch.setattr(cell_settings, "MOST_ROWS", 5)
    table = cell_settings.differing(found)
    assert table is not None
    rows = table.parts[0].rows
    place = [heading.key for heading in table.headings].index("draw")
    assert [row.entries[place] for row in rows] == [cell.draw for cell in found.cells[:5]]
    assert f"The first 5 of {len(found.cells)} cells" in table.caption
