"""What is given to `ponder govern` to do harm, or by mistake: one sentence, exit code 2, soon."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ponder.cli._app import run
from ponder.errors import InputError
from ponder.govern import calculator, names
from ponder.govern.outcome import evaluate
from ponder.govern.scenario import load_yaml, read, resolve
from ponder.train.models import TRAINING

VERBS = [*names(), "account"]
SECONDS = 5.0  # of the processor, for one command; far above what any takes
LONGEST = 800  # letters of a sentence
LARGE = 10_000  # bytes of a file that is tried on two verbs alone, as all read it alike
MUST = {"scale": {"chips": "1000"}}
KEY = {"account": "model"} | {name: calculator(name).inputs[0].name for name in names()}
"""A key that each verb's file may hold."""

BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [*{before}, *{before}, *{before}, *{before}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: dict[str, str | bytes] = {
    "an alias bomb": BOMB,
    "flow sequences 100,000 deep": "a: " + "[" * 100_000,
    "flow mappings 40,000 deep": "{a: " * 40_000,
    "block sequences 60,000 deep": "- " * 60_000,
    "complex keys 60,000 deep": "? " * 60_000,
    "mappings by indentation": "".join(" " * deep + "a:\n" for deep in range(400)),
    "more than a scenario holds": "a: 1\n" * 30_000,
    "bytes of no text": bytes(range(256)) * 50,
    "zeros": b"\0" * 1000,
    "bytes that are no UTF-8": b"KEY: \xff\xfe",
    "a lone surrogate": "KEY: \ud800".encode("utf-8", "surrogatepass"),
    "a key given twice": "KEY: 1\nKEY: 2\n",
    "a key given twice in an item": "actors: {a: {budget: 1, budget: 2}}\nfacts: {data: x, data: y}\n",
    "a key that is not one": "KEYY: 1\n",
    "a key of many letters": "k" * 900 + ": 1\n",
    "a key with line ends": '"a\\nb\\nc": 1\n',
    "a key with a terminal's codes": '"\\e[31mred": 1\n',
    "thousands of keys": "".join(f"k{place}: 1\n" for place in range(8000)),
    "keys that are no text": "1: 2\n",
    "a key that is nothing": "~: 1\n",
    "a key that is a list": "? [a]\n: 1\n",
    "a list": "- 1\n",
    "a text": "hello\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "a tag that calls": "a: !!python/object/apply:os.system ['true']\n",
    "a tag of Python": "a: !!python/tuple [1]\n",
    "a broken binary": "KEY: !!binary 'x'\n",
    "a merge of a number": "<<: 1\n",
    "the value key": "=: 1\n",
    "no such day": "KEY: 2001-99-99\n",
    "a day before the first": "KEY: 0001-01-01 00:00:00+23:00\n",
    "a whole number of 100,000 digits": "KEY: " + "9" * 100_000,
    "a hexadecimal number of as many": "KEY: 0x" + "f" * 100_000,
    "a list of such": "KEY: [0x" + "f" * 100_000 + "]",
    "a number of minutes of minutes": "KEY: " + ":".join(["59"] * 20_000),
    "a fraction of them": "KEY: " + ":".join(["59"] * 400) + ".5",
    "a list of 20,000": "a: [" + "1," * 20_000 + "]",
    "an open quote": "a: 'b\n",
    "a tab": "a:\n\t- 1\n",
    "another calculator's": "calculator: other\n",
    "a calculator's name with line ends": 'calculator: "a\\nb"\n',
    "items in a list": "actors: [1]\nefforts: [1]\nstages: {}\n",
    "a name that is a list": "chip: [1]\nmodel: [1]\n",
    "a law that is a list": "law: [1]\n",
}
VALUES = (
    "nan", "inf", "-inf", "1e400", "-1e400", "1e99999999", "1e300", "1e-300", "1e308..1e309", "1e-320..1e300",
    "1e308±1e308", "1±-1", "5..1", "1e25..1e24", "-1..-2", "0..5", "0x10", "1_", "1__0", "1,2", "1;2", "None",
    "true", "[1]", "{a: 1}", "1 apple*pear", "1 " + "E" * 150, "1 " + "EB*" * 20 + "EB/B",
    "9" * 1500, "x" * 1500, "1 \x1b[31m", "1\n2",
)  # fmt: skip


@contextmanager
def soon() -> Iterator[None]:
    start = time.process_time()
    yield
    assert time.process_time() - start < SECONDS


def refuses(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """The one sentence that `ponder govern` ends with."""
    with soon():
        assert run(["govern", *words]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.strip().splitlines()) == 1, told.err
    assert len(told.err) < LONGEST
    assert told.err.strip().isprintable()
    return told.err


@pytest.mark.parametrize("what", FILES)
def test_a_file_is_refused_by_every_verb(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "scenario.yaml"
    content = FILES[what]
    content = content.encode() if isinstance(content, str) else content
    for verb in VERBS if len(content) < LARGE else ("account", "theft"):
        path.write_bytes(content.replace(b"KEY", KEY[verb].encode()))
        refuses(capsys, verb, str(path))


def _none(folder: Path) -> Path:
    return folder / "none.yaml"


def _folder(folder: Path) -> Path:
    path = folder / "folder.yaml"
    path.mkdir()
    return path


def _loop(folder: Path) -> Path:
    path = folder / "loop.yaml"
    path.symlink_to(path)
    return path


def _huge(folder: Path) -> Path:
    path = folder / "huge.yaml"
    with path.open("wb") as file:
        file.write(b"a: 1\n")
        file.truncate(50 << 20)
    return path


def _closed(folder: Path) -> Path:
    """Root reads all files but this one, at address 0 of its own memory."""
    if os.geteuid() == 0:
        return Path("/proc/self/mem")
    path = folder / "closed.yaml"
    path.write_text("a: 1\n")
    path.chmod(0)
    return path


def _endless(folder: Path) -> Path:
    return Path("/dev/zero")


def _named_at_length(folder: Path) -> Path:
    return folder / ("a" * 5000 + ".yaml")


def _named_in_lines(folder: Path) -> Path:
    return folder / "a\nb.yaml"


@pytest.mark.parametrize(
    "made", [_none, _folder, _loop, _huge, _closed, _endless, _named_at_length, _named_in_lines]
)
def test_what_is_no_file_to_read_is_refused_by_every_verb(
    made: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made(tmp_path)
    for verb in VERBS:
        if (verb, made) != ("account", _folder):  # which takes a checkpoint's folder
            refuses(capsys, verb, str(path))


@pytest.mark.parametrize("what", ["an alias bomb", "block sequences 60,000 deep", "an open quote"])
def test_a_file_takes_little_memory(what: str, tmp_path: Path) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_bytes(str(FILES[what]).encode())
    assert _peak(path) < 10 << 20
    assert _peak(_huge(tmp_path)) < 1 << 20


def _peak(path: Path) -> int:
    """Bytes that reading it takes at most."""
    tracemalloc.start()
    try:
        load_yaml(path)
    except InputError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return peak


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value[:20]))
@pytest.mark.parametrize("verb", names())
def test_a_number_is_refused_as_a_flag_and_in_a_file(
    verb: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, name = tmp_path / "scenario.yaml", KEY[verb]
    assert name in refuses(capsys, verb, "--set", f"{name}={value}")
    path.write_text(json.dumps({name: value}))
    assert name in refuses(capsys, verb, str(path))
    path.write_text(json.dumps({name: {"value": value, "low": 0, "high": 1e300}}))
    assert name in refuses(capsys, verb, str(path))


@pytest.mark.parametrize("verb", names())
def test_numbers_of_any_size_that_is_taken_are_answered(verb: str) -> None:
    """Every input in turn at the least and the largest: no answer is one too, and a document can hold it."""
    of = calculator(verb)
    with soon():
        for each in of.inputs:
            for number in ("1e60", "1e-60..1e60"):
                try:
                    case = resolve(of, read(of, MUST.get(verb, {}) | {each.name: number}))
                except InputError:
                    continue
                json.dumps(evaluate(case, draws=20).to_json(), allow_nan=False)


STATES: dict[str, bytes] = {
    "lists 100,000 deep": b"[" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000,
    "no text": bytes(range(256)),
    "no number": b'{"global_step": NaN, "stages": [{"stage": "sft", "flop": NaN}]}',
    "an endless one": b'{"global_step": 1e400, "stages": [{"stage": "sft", "flop": 1e400}]}',
    "a negative one": b'{"global_step": -1, "stages": [{"stage": "sft", "flop": -1}]}',
    "a number of 5,000 digits": b'{"global_step": ' + b"9" * 5000 + b', "stages": []}',
    "a text for an object": b'"x"',
    "a list for a word": b'{"stages": [{"stage": ["sft"]}]}',
    "nothing": b"",
}


@pytest.mark.parametrize("what", STATES)
def test_a_record_of_training_is_refused(
    what: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a trainer_state.json by itself and in a lifecycle, and as a checkpoint's own record."""
    (tmp_path / "state.json").write_bytes(STATES[what])
    (tmp_path / "life.yaml").write_text("stages: [{stage: sft, trainer_state: state.json}]")
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_text("{}")
    (tmp_path / TRAINING).write_bytes(STATES[what])
    for source in (tmp_path / "state.json", tmp_path / "life.yaml", tmp_path):
        refuses(capsys, "account", str(source))


@pytest.mark.parametrize(
    "content", [bytes(range(256)), b"[" * 100_000, b"\xfd7zXZ\x00junk", b"SQLite format 3\0junk"]
)
def test_a_law_that_is_none_is_refused(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    for suffix in (".json", ".jsonl.xz", ".db"):
        (tmp_path / f"law{suffix}").write_bytes(content)
    laws = [*map(str, sorted(tmp_path.iterdir())), "/dev/null", "no-such-run", "x" * 5000, "", " "]
    for verb in (each for each in names() if calculator(each).law is not None):
        given = [f"--{name}={value}" for name, value in MUST.get(verb, {}).items()]
        for law in laws:
            refuses(capsys, verb, *given, "--law", law, "--draws", "100")


@pytest.mark.parametrize(
    "words",
    [
        ("account", "examples/account.yaml", "--rule", "x" * 5000),
        ("account", "examples/account.yaml", "--on", "2026-99-99"),
        ("account", "examples/account.yaml", "--of", "a model"),
        ("account", "x" * 5000),
        ("theft", "--chip", "x" * 5000),
        ("theft", "--draws", "99999999999"),
        ("theft", "--draws", "0"),
        ("theft", "--seed", "-1"),
        ("theft", "--out", "/dev/null/page.html"),
        ("scale", "--chips", "10x" + "y" * 5000),
        ("new", "x" * 5000),
        ("new", "../theft"),
        ("new", "theft", "--to", "/dev/null/theft.yaml"),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_words_are_refused(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with soon():
        assert run(["govern", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert len(told.splitlines()) == 1
    assert len(told) < LONGEST
