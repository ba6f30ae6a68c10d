from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench import records
from bench.records import RecordError
from bench.report import Report, page, train, view

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


class Skeleton(HTMLParser):
    """Counts elements with the names of their attributes, and collects addresses and text."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: Counter[tuple[str, ...]] = Counter()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[(tag, *(name for name, _ in attrs))] += 1
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


def rendered(folder: Path, note: str) -> str:
    found = view.read(folder)
    pictures = [page.Picture("a", note, note, b"pixels")]
    errors = [*found.errors, RecordError(folder / "runs" / f"{note}.parquet".replace("/", ""), note)]
    return page.render(found, train.tables(found), pictures, errors)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Skeleton:
    from synthetic import make_world

    folder = tmp_path_factory.mktemp("plain") / "small"
    return skeleton(rendered(make_world(folder, objectives=["wgan_gp"], datasets=["ring"], seeds=[0, 1]), "words"))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_no_text_adds_an_element_or_an_attribute(small: Callable[..., Path], plain: Skeleton, payload: str) -> None:
    stored = payload.replace("\ud800", "\\ud800")  # no Parquet file can hold half a character; a manifest can
    folder = small(objectives=["wgan_gp"], seeds=[0, 1], write=lambda _: stored)
    manifest = folder / records.MANIFEST
    manifest.write_text(manifest.read_text().replace("\\\\ud800", "\\ud800"))
    source = rendered(folder, payload)
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
    assert all(address.startswith("data:image/png;base64,") for address in found.addresses)
    assert len(found.addresses) == 4
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, *_ in found.elements}
    assert "url(" not in source
    assert "http://" not in source
    assert "https://" not in source


def test_the_page_tells_what_was_done_and_how_to_do_it_again(built: tuple[Path, Report]) -> None:
    text = skeleton((built[0] / "report.html").read_text()).text
    for words in (
        "Four objectives.", "60 of 64 runs done", "wgan_gp", "25 modes", "Modes covered", "Losses",
        "python -m bench run --grid grids/modes.yaml", "objective: [minimax]", "0123456789", "python 3.11.9", "2.14.1",
    ):  # fmt: skip
        assert words in text
    assert str(built[0]) not in text


def test_it_is_read_on_a_phone_and_in_the_dark(built: tuple[Path, Report]) -> None:
    source = (built[0] / "report.html").read_text()
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in source
    assert "@media (prefers-color-scheme: dark)" in source
    assert re.search(r"\.wide \{ overflow-x: auto; \}", source)
