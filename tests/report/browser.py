"""A headless Chromium that is spoken to over its debugging pipe, and what it says of a page."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-extensions",
    "--disable-component-update", "--disable-dev-shm-usage", "--no-first-run", "--remote-debugging-pipe",
)  # fmt: skip


@dataclass
class Browser:
    """One tab; commands and events as JSON that ends in a zero byte."""

    commands: BinaryIO
    replies: Iterator[bytes]
    session: str = ""
    count: int = 0
    events: deque[dict[str, Any]] = field(default_factory=deque)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        for reply in map(json.loads, self.replies):
            if reply.get("id") == self.count:
                assert "error" not in reply, reply["error"]
                return dict(reply["result"])
            self.events.append(reply)
        raise AssertionError(f"Chromium left before it answered {method}")

    def start(self) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "Audits"):
            self.call(f"{domain}.enable")

    def open(self, path: Path, width: int, *, dark: bool = False, media: str = "") -> None:
        """Load a file in a window so wide, as someone who prefers one scheme, and wait for it."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(json.loads(next(self.replies)))
        self.call("Runtime.evaluate", expression="new Promise(requestAnimationFrame)", awaitPromise=True)

    def ask(self, expression: str) -> Any:
        """The value of an expression in the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """What the page has asked for but itself and what it holds, stopped by its policy or not."""
        asked = [event["params"]["request"]["url"] for event in self._all("Network.requestWillBeSent")]
        return [url for url in asked[1:] if not url.startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """Errors, warnings, violations of the policy and all that a script has printed."""
        names = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Audits.issueAdded")
        names += ("Page.javascriptDialogOpening",)
        return [json.dumps(event["params"]) for name in names for event in self._all(name)]

    def _all(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed on A4."""
        printed = self.call("Page.printToPDF", paperWidth=8.27, paperHeight=11.69, preferCSSPageSize=True)
        path.write_bytes(base64.b64decode(printed["data"]))


@contextmanager
def browser(home: Path) -> Iterator[Browser]:
    """A Chromium of its own, with its profile in a folder of its own; it ends with the block."""
    assert CHROMIUM is not None
    (theirs, commands), (replies, ours) = os.pipe(), os.pipe()

    def place() -> None:  # in the child: the two ends of the pipes where Chromium looks for them
        low, high = os.dup(theirs), os.dup(ours)
        while min(low, high) < 5:
            low, high = os.dup(low), os.dup(high)
        os.dup2(low, 3)
        os.dup2(high, 4)

    words = [CHROMIUM, *FLAGS, f"--user-data-dir={home}", "about:blank"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with (
        os.fdopen(commands, "wb") as sink,
        os.fdopen(replies, "rb") as source,
        subprocess.Popen(words, **quiet, close_fds=True, pass_fds=(3, 4), preexec_fn=place) as process,
    ):
        os.close(theirs)
        os.close(ours)
        tab = Browser(sink, _messages(source))
        try:
            tab.start()
            yield tab
            tab.session = ""
            tab.call("Browser.close")
        finally:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()


def _messages(source: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while data := os.read(source.fileno(), 1 << 16):
        *whole, rest = (rest + data).split(b"\0")
        yield from whole
