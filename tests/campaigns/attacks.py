"""What strangers write: grid files, names, and texts for pages, tables and terminals."""

from __future__ import annotations

import sys
from pathlib import Path

from test_yaml_file import REFUSED

sys.path.append(str(Path(__file__).parents[1] / "report"))

from test_report_page import PAYLOADS
from test_report_tables import HOSTILE as CELLS

# --- grid files (S2, S3)

GOOD = """\
seeds: 2
steps: 60
batch_size: 16
dataset: ring
objective: [minimax, {name: wgan_clip, clip: 0.1}]
critic: {name: mlp, depth: 1, width: 8}
critic_optimizer: {name: adam, lr: 0.001}
evaluate: {n: 200, emd_n: 100}
"""
"""A grid that is taken; the others are this one, spoilt."""


def with_line(key: str, value: str) -> str:
    """The good grid with another value of one of its keys, or with a further key."""
    kept = [line for line in GOOD.splitlines() if line.partition(":")[0] != key]
    return "\n".join([*kept, f"{key}: {value}", ""])


def _bombs() -> dict[str, str]:
    found = {}
    for levels in range(3, 13):
        for kind, two in (("list", "[{0}, {0}]"), ("map", "{{l: {0}, r: {0}}}")):
            lines = [f"a{n}: &a{n} {two.format(f'*a{n - 1}') if n else 'x'}" for n in range(levels)]
            found[f"bomb of {levels} levels, {kind}"] = "\n".join([*lines, GOOD])
    return found


def _tags() -> dict[str, str]:
    python = (
        "object:os.system", "object/apply:os.system ['touch canary']", "object/new:subprocess.Popen [touch]",
        "name:os.system", "module:os", "tuple [1]", "bytes eA==", "complex 1j", "str x",
        "object/apply:builtins.eval ['1']",
    )  # fmt: skip
    tags = [f"!!python/{form}" for form in python]
    tags += ["!!binary aGk=", "!!set {a}", "!!omap [a: 1]", "!!timestamp 2020-01-01", "!!int 3", "!own x", "!<tag:x> y"]
    places = {"value": "steps: {}", "item": "dataset: [ring, {}]", "inner": "critic: {{name: mlp, depth: {}}}"}
    found = {f"{tag} as a {place}": f"seeds: 1\n{text.format(tag)}\n" for tag in tags for place, text in places.items()}
    return found | {f"{tag} as a key": f"seeds: 1\n? {tag}\n: 1\n" for tag in tags[:10]}


def _characters() -> dict[str, str]:
    codes = [*range(1, 9), 0, 0xB, 0xC, *range(0xE, 0x20), 0x7F, 0x80, 0x85, 0x9B, 0x200B, 0x200F, 0x2028, 0x202E]
    codes += [0x2066, 0xFEFF, 0xFFFE, 0xE0001]
    return {f"U+{code:04X} in a value": with_line("description", f"a{chr(code)}b") for code in codes}


def _values() -> dict[str, str]:
    wrong = {
        "seeds": ["2020-01-01", "1e-4", ".5", "0x10", "-1", "0", "[]", "[1, 1]", "{a: 1}", "yes", "'8'", "1_000_001"],
        "steps": ["0", "-5", "1.5", "ten", "'10'", "null", "[]", "{a: 1}", "[[1]]", "true", "1e3", "9" * 18],
        "batch_size": ["0", "1.0", "[16, 16]", "-1", "'16'", "null", "many"],
        "dataset": ["rings", "[ring, ring]", "3", "null", "{modes: 8}", "{name: ring, std: -1}", "{name: [rong]}"],
        "objective": ["wgan", "[]", "0", "{clip: 1}", "{name: minimax, clip: 1}", "{name: wgan_clip, clip: x}", "true"],
        "critic": ["mlq", "{name: mlp, depth: -1}", "{name: mlp, width: 1.5}", "{name: mlp, activation: eval}", "[[]]"],
        "critic_optimizer": ["sgdd", "{name: adam, lr: '1'}", "{name: adam, lr: -1}", "{lr: {uniform: [0, 1]}}"],
        "evaluate": ["12", "{n: 0}", "{n: 10, emd_n: 20}", "{m: 5}", "{n: 1_0_0_0_0_0_0_0_0}", "[[1, 2]]"],
        "experiment": ["trian", "os.system", "[train]", "null", "3", "''"],
        "union": ["[]", "3", "[a]", "[{seeds: 1}]", "{a: 1}", "null"],
        "search": ["3", "{}", "{settings: 0}", "{settings: 3}", "[1]"],
        "published": ["3", "[3]", "[{}]", "[{source: x, where: {a: 1}, values: {emd: 1}}]", "{a: 1}"],
        "description": ["3", "[a]", "{a: 1}", "null"],
    }  # fmt: skip
    numbers = [".nan", ".inf", "-.inf", "nan", "inf", "-Infinity", "1e999", "1" + "0" * 18, "9" * 400, "2020-01-01"]
    for key in ("seeds", "steps", "batch_size", "generator_steps"):
        wrong[key] = [*wrong.get(key, []), *numbers]
    return {f"{key}: {value[:40]}": with_line(key, value) for key, values in wrong.items() for value in values}


def _shapes() -> dict[str, str]:
    return {
        "a merge": with_line("critic", "{<<: {name: mlp}}"),
        "a merge of a list": with_line("critic", "{<<: [{name: mlp}, {depth: 2}]}"),
        "a merge on top": f"<<: {{seeds: 3}}\n{GOOD}",
        "a key twice": f"{GOOD}seeds: 3\n",
        "a key twice, below": with_line("critic", "{name: mlp, name: mlp}"),
        "a key twice, quoted": f"{GOOD}'steps': 3\n",
        "two documents": f"{GOOD}---\n{GOOD}",
        "an end and more": f"{GOOD}...\nmore: 1\n",
        "a directive": f"%YAML 1.1\n---\n{GOOD}",
        "itself": "a: &a\n  b: *a\n",
        "itself in a list": "a: &a [*a]\n",
        "itself as a key": "&a a: {*a : 1}\n",
        "an alias to nothing": "a: *b\n",
        "a tab": f"critic:\n\tname: mlp\n{GOOD}",
        "a tab within": f"{GOOD}generator:\n  name: mlp\n \tdepth: 2\n",
        "10^5 lists": "[" * 10**5,
        "60,000 lists": "a: " + "[" * 60_000,
        "10,000 blocks": "{a: " * 10_000,
        "30,000 items": "- " * 30_000,
        "21 blocks": "".join(f"{' ' * n}a:\n" for n in range(30)),
        "10 MB": "description: " + "x" * 10_000_000,
        "10^6 keys": "".join(f"k{n}: 1\n" for n in range(10**6)),
        "9,000 keys": "".join(f"k{n}: 1\n" for n in range(9000)),
        "a mark in the middle": GOOD.replace("steps", "\ufeffsteps"),
        "no colon": "seeds 3\n",
        "half a list": "seeds: [1,\n",
        "half a text": "seeds: 'a\n",
        "a list": "- a\n- b\n",
        "nothing": "",
        "a comment": "# nothing\n",
    }  # fmt: skip


def _encodings() -> dict[str, bytes]:
    found = {f"in {name}": GOOD.encode(name) for name in ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")}
    bad = {
        "Latin-1": b"\xe9",
        "a half": b"\xc3",
        "overlong": b"\xc0\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "FF": b"\xff",
    }
    return found | {f"bytes of {name}": b"description: a" + text + b"\n" for name, text in bad.items()}


BAD_GRIDS: dict[str, bytes] = {
    **{f"shown before: {name}": text.encode() for name, (text, _) in REFUSED.items()},
    **{name: text.encode() for part in (_bombs(), _tags(), _characters(), _shapes()) for name, text in part.items()},
    **{name: text.encode() for name, text in _values().items()},
    **_encodings(),
}
"""Grid files that must be refused."""

_MANY = f"[{', '.join(map(str, range(1, 1001)))}]"
_TEN = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
HUGE_GRIDS: dict[str, str] = {
    "four lists": GOOD + "".join(f"{key}: {_MANY}\n" for key in ("critic_steps", "pack", "generator_steps", "ema")),
    "twelve lists of ten": f"{GOOD}generator:\n" + "".join(f"  k{n}: {_TEN}\n" for n in range(12)),
    "a union": f"{GOOD}union:\n- {{a: {_MANY}, b: {_MANY}, c: {_MANY}, d: {_MANY}}}\n",
    "blocks in lists": f"{GOOD}generator: [{{a: {{b: [{{c: {_MANY}, d: {_MANY}}}]}}, e: {_MANY}, f: {_MANY}}}]\n",
    "cells and seeds": with_line("seeds", "1000000") + f"critic_steps: {_MANY}\npack: {_MANY}\n",
}
"""Of 10^12 runs or so; none names a setting that is checked before it is counted."""

# --- names (S4), in which a path, a shell, a terminal or another system would see more than a word

NAMES = [
    "../../x", "../x", "..", ".", "~", "~/x", "~root", "/etc/passwd", "/tmp/x", "//x", "./x", "x/..", "x/../../y",
    "..\\x", "\\\\host\\x", "C:\\x", "C:x", "file:///etc/x", "http://x/y", ".hidden", "..x", ".tmp-0123", "-x", "--out",
    "-rf", "x\x00", "\x00", "x\ny", "x\r", "\t", " ", "x y", " x", "x ", "\x1b[31mx", "\x1b]0;x\x07", "\x9b31m", "\x7f",
    "x" * 65, "x" * 300, "\u202ex", "\u2066x", "\u200bx", "e\u0301", "\u00e9", "\uff0e\uff0e\uff0fx", "\u2025/x",
    "CON", "con.txt", "NUL", "COM1", "aux", "LPT9.x", "x:y", "x|y", "x;y", "$(touch x)", "`x`", "x*", "%2e%2e%2fx",
    "${HOME}", "x'y", 'x"y', "<x>",
]  # fmt: skip

# --- code from settings (S8)

DOTTED = [
    "os.system", "builtins.eval", "builtins.exec", "subprocess.Popen", "torch.load", "torch.hub.load", "pickle.loads",
    "__import__", "importlib.import_module", "datasets.ring.Ring", "objectives.minimax:OBJECTIVE", "os:system",
    "bench.plugins:load", "lambda x: x", "eval", "open('canary', 'w')", "!python os.system", "{{7*7}}",
    "${oc.env:HOME}", "module://x",
]  # fmt: skip
TARGETS = ["_target_", "__class__", "__reduce__", "class_path", "init_args", "target", "fn", "callable", "py/object",
           "_partial_"]  # fmt: skip

# --- texts (S5, S6, S7, S12)

HTML = [payload for payload in PAYLOADS if payload != "\ud800<b>"]
"""But for what no file can hold."""

LATEX = [
    *CELLS[:4], "_", "&", "%", "$", "#", "{", "}", "~", "^", "\\", r"\input{/etc/passwd}", r"\write18{touch canary}",
    r"\immediate\write18{id}", r"\openin1=/etc/passwd", r"\catcode`\%=12", r"\def\x{\x}\x", r"\newcommand{\a}{b}",
    r"\begin{verbatim}", r"\end{table*}", r"\end{document}", "^^5cinput", "^^M", "$$x$$", r"\(x\)", "}}}}", "{{{{",
    "%%", r"\\[9cm]", "&&&&", "#1#2", "[x]", "*", "--", "``x''", "<<>>", r"\char0", r"\special{ps: x}", r"\url{x}",
]  # fmt: skip

FORMULAS = ["=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n=1", "=cmd|' /C calc'!A0", "\uff1d1", "\uff0b1"]

ESCAPES = [
    "\x1b[31mred", "\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://x\x07link\x1b]8;;\x07", "\x1bP+q\x1b\\", "\x9b31m",
    "\x1b[6n", "\rover", "\x08\x08\x08", "\x07", "\x1bc", "\u202egnp", "[bold red]markup[/]", "[link=http://x]x[/link]",
]  # fmt: skip
