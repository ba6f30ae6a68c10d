"""The pages as a real browser shows them: nothing is asked for, nothing complained of, and all of it can be read."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import CHROMIUM, Browser, browser
from ledgers import example, put

from bench.report import Report, build, ledger

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")

POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
PHONE, DESK, PAPER = 400, 1400, 703
DARK, LIGHT = "rgb(23, 24, 26)", "rgb(255, 255, 255)"
LEAST_CONTRAST = 4.5

CONTRAST = """
(() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = c => .2126 * linear(c[0] / 255) + .7152 * linear(c[1] / 255) + .0722 * linear(c[2] / 255);
  const behind = e => {
    const own = parse(getComputedStyle(e).backgroundColor);
    return own[3] === 0 ? behind(e.parentElement) : own;
  };
  const written = e => [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
  return Math.min(...[...document.body.querySelectorAll('*')].filter(written).map(e => {
    const [high, low] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    return (high + .05) / (low + .05);
  }));
})()
"""
"""The least contrast of any text of the page to what lies behind it, as WCAG defines it."""


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.fixture(scope="module")
def pages(built: tuple[Path, Report], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of a grid with claims, and the page of the ledger."""
    folder = tmp_path_factory.mktemp("pages") / "modes"
    shutil.copytree(built[0], folder)
    put(example(), folder.parent)
    build(folder)
    claims = folder.parent / "claims" / "claims.html"
    claims.write_text(ledger.render(ledger.load(claims.with_name("claims.json"))))
    return {"grid": folder / "report.html", "ledger": claims}


def quiet(tab: Browser) -> bool:
    return (tab.requests, tab.complaints) == ([], [])


def test_a_page_is_shown_on_a_phone_in_the_dark(chromium: Browser, built: tuple[Path, Report]) -> None:
    chromium.open(built[0] / "report.html", PHONE, dark=True)
    assert quiet(chromium)
    assert chromium.ask("innerWidth") == PHONE
    assert chromium.ask("document.documentElement.scrollWidth") <= PHONE
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == DARK
    assert chromium.ask("[...document.images].every(image => image.complete && image.naturalWidth > 800)")
    assert chromium.ask("document.images.length") == len(list((built[0] / "figures").glob("*.png")))


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["grid", "ledger"])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [320, PHONE, 800, DESK])
def test_any_window_in_either_scheme(
    chromium: Browser, pages: dict[str, Path], tmp_path: Path, width: int, dark: bool, name: str
) -> None:
    from PIL import Image

    chromium.open(pages[name], width, dark=dark)
    assert quiet(chromium)
    assert chromium.ask("document.documentElement.scrollWidth") <= width
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == (DARK if dark else LIGHT)
    assert chromium.ask(CONTRAST) >= LEAST_CONTRAST
    chromium.screenshot(tmp_path / "page.png")
    with Image.open(tmp_path / "page.png") as shot:
        assert shot.height > 2000
        assert f"rgb{shot.convert('RGB').getpixel((2, 2))}" == (DARK if dark else LIGHT)


@pytest.mark.campaign
def test_claims_are_cards_on_a_phone_and_a_table_on_a_desk(chromium: Browser, pages: dict[str, Path]) -> None:
    row = "document.querySelector('.cards tbody tr')"
    boxes = f"[...{row}.children].filter(e => e.offsetWidth).map(e => Math.round(e.getBoundingClientRect().top))"
    chromium.open(pages["ledger"], DESK)
    assert len(set(chromium.ask(boxes))) == 1
    chromium.open(pages["ledger"], PHONE)
    assert len(set(chromium.ask(boxes))) >= 4
    region = "[...document.querySelectorAll('.wide')]"
    assert chromium.ask(f"{region}.every(e => e.scrollWidth <= e.clientWidth)"), "nothing of a card is cut"
    content = f"getComputedStyle({row}.querySelector('td:not(.words)'), '::before').content"
    assert chromium.ask(content) == '"Effect "'


@pytest.mark.campaign
@pytest.mark.parametrize("name", ["grid", "ledger"])
def test_links_lead_to_places_of_the_page(chromium: Browser, pages: dict[str, Path], name: str) -> None:
    chromium.open(pages[name], DESK)
    links = "[...document.links].map(link => link.getAttribute('href'))"
    assert chromium.ask(f"{links}.length") > 3
    assert chromium.ask(f"{links}.every(to => to[0] === '#' && document.getElementById(to.slice(1)))")


@pytest.mark.campaign
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="there is no pdftotext here")
@pytest.mark.parametrize("name", ["grid", "ledger"])
def test_nothing_is_cut_in_print_and_it_is_dark_on_light(
    chromium: Browser, pages: dict[str, Path], tmp_path: Path, name: str
) -> None:
    chromium.open(pages[name], PAPER, dark=True, media="print")
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == LIGHT
    tables = "[...document.querySelectorAll('section:not(.broad) table')]"
    assert chromium.ask(f"{tables}.every(table => table.getBoundingClientRect().right <= innerWidth)")
    assert chromium.ask("getComputedStyle(document.querySelector('figure, tr')).breakInside") == "avoid"
    chromium.open(pages[name], DESK, dark=True)
    cells = chromium.ask("[...document.querySelectorAll('td, th')].flatMap(e => e.innerText.split(/\\s+/))")
    path = tmp_path / "page.pdf"
    chromium.pdf(path)
    told = subprocess.run(["pdftotext", "-bbox", path, "-"], check=True, capture_output=True, text=True).stdout
    width = 0.0
    for line in told.splitlines():
        if sheet := re.search(r'<page width="([\d.]+)" height="([\d.]+)"', line):
            width = float(sheet[1])
            assert sorted(map(float, sheet.groups())) == pytest.approx([595, 842], abs=1)  # A4 in points
        if word := re.search(r'xMin="(-?[\d.]+)".*xMax="([\d.]+)"', line):
            assert 0 < float(word[1]) < float(word[2]) < width
    printed = "".join(re.findall(r">([^<>\s]+)</word>", told))
    missing = [word for word in set(cells) if html.escape(word, quote=False).replace("'", "&apos;") not in printed]
    assert len(missing) <= len(set(cells)) / 50, missing  # words that are broken over lines of different cells


class Counter(BaseHTTPRequestHandler):
    """Answers nothing and remembers what it was asked for."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """An address on this machine, and what has been asked for there."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Own", (Counter,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


ATTACKS = (
    "<script>console.error('ran')</script><script src={}/script></script>",
    "\"><img src={}/image onerror=console.error('ran')>", "</style><style>@import url({}/style);</style>",
    "<svg onload=console.error('ran')><image href={}/svg /></svg>", "<iframe src={}/frame></iframe>",
    "<link rel=stylesheet href={}/link>", "<div style=\"background:url('{}/background')\">x</div>",
    "<object data={}/object></object>", "<video src={}/video></video>", "<a href=\"javascript:alert('ran')\">x</a>",
    "{{{{ ''.__class__ }}}}{{% include '{}/template' %}}",
)  # fmt: skip


@pytest.mark.campaign
def test_hostile_texts_reach_nothing(
    chromium: Browser, small: Callable[..., Path], listener: tuple[str, list[str]]
) -> None:
    """Beside two controls: the same texts unescaped are stopped by the policy, and reach out where there is none."""
    place, asked = listener
    text = " ".join(attack.format(place) for attack in ATTACKS)
    folder = small(objectives=["wgan_gp"], seeds=[0, 1], write=lambda _: text)
    path = put(example(lambda _: text), folder.parent)
    build(folder)
    claims = path.with_name("claims.html")
    claims.write_text(ledger.render(ledger.load(path)))
    for shown in (folder / "report.html", claims):
        chromium.open(shown, PHONE)
        assert quiet(chromium)
        assert chromium.ask("document.documentElement.scrollWidth") <= PHONE
        assert text in chromium.ask("document.body.textContent")
        assert chromium.ask("document.scripts.length + document.querySelectorAll('iframe, object, video').length") == 0
    assert asked == []
    open_text = html.unescape(claims.read_text())
    claims.write_text(open_text)
    chromium.open(claims, PHONE)
    assert len(chromium.complaints) > 10
    assert asked == []
    claims.write_text(POLICY.sub("", open_text))
    chromium.open(claims, PHONE)
    assert {"/script", "/image", "/style", "/frame", "/link", "/background"} <= set(asked)
    assert any("ran" in complaint for complaint in chromium.complaints)


@pytest.mark.campaign
@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[2].glob("results/*/*.html")), ids=lambda p: p.parent.name
)
def test_pages_that_are_kept_are_shown(chromium: Browser, path: Path) -> None:
    for width, dark in ((PHONE, True), (DESK, False)):
        chromium.open(path, width, dark=dark)
        assert quiet(chromium)
        assert chromium.ask("document.documentElement.scrollWidth") <= width
        assert chromium.ask(CONTRAST) >= LEAST_CONTRAST
