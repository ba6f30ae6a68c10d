from __future__ import annotations

import re
import string
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bench.errors import UserError
from bench.yaml_file import MOST_BYTES, MOST_NODES, Block, Items, parse, parse_value, read, shown


def load(path: Path) -> Block:
    return parse(read(path), shown(path))


def refusal(text: str) -> str:
    """What is said about a text, checked for what every refusal must be."""
    start = time.process_time()
    with pytest.raises(UserError) as caught:
        parse(text, "F")
    assert time.process_time() - start < 1
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith("F:")
    assert "; " in message, "no remedy"
    assert len(message) < 500
    return message


TEXT = """\
# a comment
steps: 100
dataset:
  name: ring

  std: 2e-2
objective:
  - minimax
  - {name: wgan_clip,
     clip: 0.1}
"""


def test_every_value_knows_its_line() -> None:
    block = parse(TEXT, "F")
    assert block == {
        "steps": 100,
        "dataset": {"name": "ring", "std": 0.02},
        "objective": ["minimax", {"name": "wgan_clip", "clip": 0.1}],
    }
    assert block.marks == {"steps": "F:2", "dataset": "F:3", "objective": "F:7"}
    assert block["dataset"].marks == {"name": "F:4", "std": "F:6"}
    assert block["objective"].marks == ["F:8", "F:9"]
    assert block["objective"][1].marks == {"name": "F:9", "clip": "F:10"}
    assert isinstance(block["objective"], Items)


def test_a_list_that_is_changed_keeps_its_places() -> None:
    changed = parse(TEXT, "F")["objective"].each(lambda item: [item])
    assert changed == [["minimax"], [{"name": "wgan_clip", "clip": 0.1}]]
    assert (changed.mark, changed.marks) == ("F:8", ["F:8", "F:9"])


# YAML 1.2.2, chapter 10.3.2, and its examples; bool and str before int, since True == 1.
SCALARS: list[tuple[str, Any]] = [
    ("", None),
    ("null", None),
    ("~", None),
    ("true", True),
    ("FALSE", False),
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("y", "y"),
    ("0", 0),
    ("-19", -19),
    ("+12", 12),
    ("010", 10),
    ("1_000", 1000),
    ("-_", "-_"),
    ("1__0", "1__0"),
    ("0.", 0.0),
    ("-0.0", -0.0),
    (".5", 0.5),
    (".5e3", 500.0),
    ("+12e03", 12000.0),
    ("-2E+05", -200000.0),
    ("1e-4", 1e-4),
    ("5.0e-5", 5e-5),
    ("1e", "1e"),
    (".", "."),
    ("1:30", "1:30"),
    ("1.2.3", "1.2.3"),
    ("=", "="),
    ("'1e-4'", "1e-4"),
    ('"null"', "null"),
    ("'2020-01-01'", "2020-01-01"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = parse(f"key: {text}\n", "F")["key"]
    assert type(read) is type(value)
    assert read == value


# Where bench departs from the schema, words look like dates or like numbers that are none: not drawn here.
WORDS = st.text(string.ascii_letters + string.digits + " _-.:#'\"é", max_size=12).filter(
    lambda text: not re.match(r"[-+]?\.?(\d|inf|nan)", text, re.IGNORECASE)
)
PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_lowercase, min_size=1, max_size=6).map("k_{}".format), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(value=PLAIN, flow=st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_ruamel_writes_is_read_back(value: object, flow: bool) -> None:
    from io import StringIO

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = flow
    yaml.width = 10_000
    stream = StringIO()
    yaml.dump({"key": value}, stream)
    assert parse(stream.getvalue(), "F") == YAML(typ="safe", pure=True).load(stream.getvalue()) == {"key": value}


@given(text=st.text(alphabet=st.sampled_from("ab01 \n\t-:,[]{}#&*!|>'\"%@`?<~.\\xUeu_=\r\0é\u202e"), max_size=60))
@settings(max_examples=1500, deadline=None)
def test_any_text_is_read_or_refused(text: str) -> None:
    said = []
    try:
        parse(text, "F")
    except UserError as error:
        said.append(str(error))
    assert all(line.startswith("F:") and line.isprintable() for line in said)


@given(data=st.binary(max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.yaml"
    path.write_bytes(data)
    said = []
    try:
        load(path)
    except UserError as error:
        said.append(str(error))
    assert all(line.startswith(str(path)) and line.isprintable() for line in said)


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 12))
PYTHON_TAGS = [
    "name:os.system",
    "object:os.system",
    "object/apply:os.system [echo]",
    "object/new:os.system",
    "module:os",
]

REFUSED = {
    "alias bomb": (BOMB, "F:1: anchors (&) and aliases (*) are not read; write the value out"),
    "alias to itself": ("a: &a [*a]", "F:1: anchors (&) and aliases (*) are not read; write the value out"),
    "alias": ("a: 1\nb: *a", "F:2: anchors (&) and aliases (*) are not read; write the value out"),
    "anchored key": ("&a a: 1", "F:1: anchors (&) and aliases (*) are not read; write the value out"),
    "merge": ("a: {<<: {b: 1}}", "F:1: merge keys (<<) are not read; write the settings out"),
    "quoted merge": ("a: {'<<': {b: 1}}", "F:1: merge keys (<<) are not read; write the settings out"),
    "binary": ("a: !!binary aGk=", "F:1: tags (!) are not read; write a plain value"),
    "bare tag": ("a: ! 3", "F:1: tags (!) are not read; write a plain value"),
    "tagged list": ("a:\n  !!seq [1]", "F:2: tags (!) are not read; write a plain value"),
    "tagged key": ("!!str a: 1", "F:1: tags (!) are not read; write a plain value"),
    "directive": ("%YAML 1.1\n---\na: no", "F:2: a directive (`%`); remove the line"),
    "tag directive": ("%TAG ! tag:x,2000:\n---\na: 1", "F:2: a directive (`%`); remove the line"),
    "two documents": ("a: 1\n---\nb: 2", "F:2: a second document (`---`); keep one a file"),
    "duplicate": ("a: 1\nb: 2\na: 3", "F:3: a: written before, at F:1; keep one"),
    "inner duplicate": ("b:\n  a: 1\n  a: 3", "F:3: a: written before, at F:2; keep one"),
    "duplicate in quotes": ("a: 1\n'a': 3", "F:2: a: written before, at F:1; keep one"),
    "empty": ("", "F:1: nothing in it; write settings, one `key: value` a line"),
    "comment alone": ("# nothing\n", "F:1: nothing in it; write settings, one `key: value` a line"),
    "list": ("- a\n- b", "F:1: a list where settings belong; write one `key: value` a line"),
    "word": ("key:value", "F:1: a word where settings belong; write one `key: value` a line"),
    "number": ("17", "F:1: a number where settings belong; write one `key: value` a line"),
    "key is a number": ("1: a", "F:1: key '1' is not a plain word; letters, digits, _ and - make one"),
    "key is a truth value": ("true: a", "F:1: key 'true' is not a plain word; letters, digits, _ and - make one"),
    "key is null": ("a: {~: 1}", "F:1: key '~' is not a plain word; letters, digits, _ and - make one"),
    "key has a dot": ("a.b: 1", "F:1: key 'a.b' is not a plain word; nest the settings: `a: {b: 1}`"),
    "key is a list": ("? [a, b]\n: 1", "F:1: a list or block as a key; a key is a plain word"),
    "key is a path": ("../../x: 1", "F:1: key '../../x' is not a plain word; nest the settings: `a: {b: 1}`"),
    "tab": ("a:\n\tb: 1", "F:2: a tab in the indentation; indent with spaces"),
    "NUL": ("a: 1\nb: \0", "F:2: character U+0000 does not print; remove it"),
    "terminal code": ("a: \x1b[31m", "F:1: character U+001B does not print; remove it"),
    "quoted terminal code": ('a: "\\e[31m"', "F:1: character U+001B does not print; remove it"),
    "right to left": ("a: x\u202eb", "F:1: character U+202E does not print; remove it"),
    "quoted right to left": ('a: "\\u202e"', "F:1: character U+202E does not print; remove it"),
    "space that is none": ("a:\n\xa0 b: 1", "F:2: character U+00A0 does not print; remove it"),
    "400 digits": ("a: " + "7" * 400, "F:1: a whole number of 400 digits; write at most 18"),
    "60,000 digits": ("a: " + "7" * 60_000, "F:1: a whole number of 60000 digits; write at most 18"),
    "too large": ("a: 1e999", "F:1: 1e999 is beyond every float; write a smaller number"),
    "nan": ("a: .nan", "F:1: .nan is not a finite number; write one"),
    "infinite": ("a: -.INF", "F:1: -.INF is not a finite number; write one"),
    "Python's nan": ("a: nan", "F:1: nan is not a finite number; write one"),
    "date": ("a: 2020-01-01", "F:1: 2020-01-01 is a date, and no setting is; quote it if a text is meant"),
    "time": (
        "a: 2020-01-01 10:00:00",
        "F:1: 2020-01-01 10:00:00 is a date, and no setting is; quote it if a text is meant",
    ),
    "deep lists": ("a: " + "[" * 60_000, "F:1: nested deeper than 20 levels; settings need 3 or 4"),
    "deep blocks": ("{a: " * 15_000, "F:1: nested deeper than 20 levels; settings need 3 or 4"),
    "deep items": ("- " * 30_000, "F:1: nested deeper than 20 levels; settings need 3 or 4"),
    "many keys": (
        "".join(f"k{n}: 1\n" for n in range(9000)),
        "F:2500: more than 5,000 values; split it into several files",
    ),
    "many items": ("a: [" + "1," * 30_000 + "]", "F:1: more than 5,000 values; split it into several files"),
}
REFUSED |= {
    f"!!python/{tag}": (f"a: !!python/{tag} ''", "F:1: tags (!) are not read; write a plain value")
    for tag in PYTHON_TAGS
}


@pytest.mark.parametrize("name", REFUSED)
def test_hostile_text_is_refused_in_one_line(name: str) -> None:
    text, line = REFUSED[name]
    assert refusal(text) == line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1,\n2", "F:2: not YAML: while parsing a flow sequence that line 1 begins: expected ',' or ']'"),
        ("a: 1\n b: 2", "F:2: not YAML: mapping values are not allowed here"),
        ("a: 'b", "F:1: not YAML: while scanning a quoted scalar that line 1 begins: found unexpected end of stream"),
        ("a: [1, 2]]", "F:1: not YAML: while parsing a block mapping that line 1 begins: expected <block end>"),
        ("a: 1\n\nb: @x", "F:3: not YAML: found character '@' that cannot start any token"),
        ('a: "\\UFFFFFFFF"', "F:1: not YAML: "),
        ("%YAML 9.9\n---\na: 1", "F:1: not YAML: found incompatible YAML document"),
    ],
)
def test_broken_yaml_is_explained(text: str, words: str) -> None:
    message = refusal(text)
    assert message.startswith(words)
    assert message.endswith("; check the colons (a space after each), brackets, quotes and indentation")


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "1" * 60_000 + "x",
        "a: " + "1_" * 30_000,
        "a: ." + "1" * 60_000 + "e",
        "a: " + "x " * 30_000,
        "a: '" + "x\n  " * 15_000 + "'",
        "a: 1 " + "#" * 60_000,
        "\n" * 60_000 + "a: 1",
        "a: " + '"' + "\\n" * 30_000 + '"',
        "a: [" + "[]," * 2000 + "]",
        "a: {" + ",".join(f"k{n}" for n in range(2000)) + "}",
        "".join(f"k{n}: {n}\n" for n in range(MOST_NODES // 2 - 1)),
    ],
    ids=lambda text: text[:12],
)
def test_the_largest_texts_are_read_at_once(text: str) -> None:
    start = time.perf_counter()
    parse(text, "F")
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"a: 1\n" * MOST_BYTES, "larger than 64 KiB; split it into several files"),
        (b"x" * 10_000_000, "larger than 64 KiB; split it into several files"),
        ("a: 1".encode("utf-16"), "1: encoded as UTF-16 or UTF-32; save it as UTF-8"),
        ("a: 1".encode("utf-16-le"), "1: encoded as UTF-16 or UTF-32; save it as UTF-8"),
        ("a: 1".encode("utf-16-be"), "1: encoded as UTF-16 or UTF-32; save it as UTF-8"),
        ("a: 1".encode("utf-32"), "1: encoded as UTF-16 or UTF-32; save it as UTF-8"),
        (b"a: 1\nb: caf\xe9\n", "2: byte 0xe9 is not UTF-8; save the file as UTF-8"),
    ],
    ids=["lines", "10 MB", "UTF-16", "UTF-16-LE", "UTF-16-BE", "UTF-32", "Latin-1"],
)
def test_hostile_bytes_are_refused(tmp_path: Path, data: bytes, line: str) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(UserError) as caught:
        load(path)
    assert time.perf_counter() - start < 1
    assert str(caught.value).removeprefix(str(path)).lstrip(": ") == line


def test_windows_files_are_read(tmp_path: Path) -> None:
    path = tmp_path / "g.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb:\r\n  - c\r\n")
    block = load(path)
    assert block == {"a": 1, "b": ["c"]}
    assert block["b"].marks == [f"{path}:3"]


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    Path("grids").mkdir()
    Path("grids/modes.yaml").write_text("a: 1")
    Path("grids/smoke.yaml").write_text("a: 1")
    os.mkfifo("pipe.yaml")
    for name, line in {
        "grids": "grids: a folder; name a YAML file in it",
        "pipe.yaml": "pipe.yaml: not a regular file; name a YAML file",
        "/dev/zero": "/dev/zero: not a regular file; name a YAML file",
        "grids/mods.yaml": "grids/mods.yaml: no such file; did you mean 'grids/modes.yaml'?",
        "modes": "modes: no such file; did you mean 'grids/modes.yaml'?",
        "smoke.yml": "smoke.yml: no such file; did you mean 'grids/smoke.yaml'?",
        "else/where.txt": "else/where.txt: no such file; known: grids/modes.yaml, grids/smoke.yaml",
        "a\0b": "'a\\x00b': cannot be read: embedded null byte; name a readable YAML file",
        "a\x1b[31m\n": "'a\\x1b[31m\\n': no such file; known: grids/modes.yaml, grids/smoke.yaml, pipe.yaml",
        "grids/modes.yaml/x": "grids/modes.yaml/x: cannot be read: Not a directory; name a readable YAML file",
    }.items():
        with pytest.raises(UserError) as caught:
            load(Path(name))
        assert str(caught.value) == line
    with pytest.raises(UserError, match="cannot be read: File name too long; "):
        load(Path("x" * 300))


def test_values_from_the_command_line() -> None:
    assert parse_value("500", "M") == 500
    assert parse_value("1e-4", "M") == 1e-4
    assert parse_value("ring", "M") == "ring"
    assert parse_value("", "M") is None
    items = parse_value("[10, {a: b}]", "M")
    assert items == [10, {"a": "b"}]
    assert items.marks == ["M", "M"]
    assert items[1].marks == {"a": "M"}
    for text, line in {
        "[1,": "M: not YAML: ",
        "a\nb": "M: several lines; write the value on one line",
        "!!int 3": "M: tags (!) are not read; write a plain value",
        "inf": "M: inf is not a finite number; write one",
    }.items():
        with pytest.raises(UserError) as caught:
            parse_value(text, "M")
        assert str(caught.value).startswith(line)


def test_shown_is_short_and_printable() -> None:
    assert shown(Path("a/b.yaml")) == "a/b.yaml"
    assert shown("a\nb\x1b") == "'a\\nb\\x1b'"
    assert shown("x" * 200) == "x" * 200
    assert shown("x" * 201) == "x" * 100 + "…" + "x" * 99
    assert len(shown("x" * 10**6, 40)) == 40
