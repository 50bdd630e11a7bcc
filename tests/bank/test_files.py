"""Files that nobody should write, and some do: too large, broken, or made to do harm."""

from __future__ import annotations

import contextlib
import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ponder.bank import Bounds, Wanted, gather
from ponder.bank.files import Archive
from ponder.errors import BankFileError, MissingExtra

Make = Callable[..., dict[str, Any]]
Write = Callable[..., Path]
SMALL = Bounds(file_bytes=20_000, piece_bytes=5_000, pieces=10)


def refused(path: Path, bounds: Bounds = Bounds()) -> str:  # noqa: B008
    with pytest.raises(BankFileError) as caught:
        gather([path], bounds=bounds)
    return str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(write_eval: Write, sample: Make) -> None:
    path = write_eval([sample()])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/bomb.json", b" " * 1_000_000)
    assert path.stat().st_size < SMALL.file_bytes
    assert "unpacked: larger than 20,000 bytes; it may be a zip bomb" in refused(path, SMALL)


def test_a_member_that_is_larger_than_it_says_is_not_read_on(write_eval: Write, sample: Make) -> None:
    path = write_eval([sample()])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("samples/bomb.json", b" " * 1_000_000)
    raw = path.read_bytes()
    lie = (1_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    assert raw.count(lie[0]) == 2  # in its own header and in the directory
    path.write_bytes(raw.replace(*lie))
    assert "a broken zip file" in refused(path, SMALL) or "not JSON" in refused(path, SMALL)


def test_large_members_lines_files_and_many_of_them_are_refused(
    write_eval: Write, write_lines: Write, sample: Make
) -> None:
    row = {"question": "q", "sample": "x", "correct": True}
    assert "samples/1_epoch_1.json: larger than 5,000 bytes" in refused(
        write_eval([sample(store={"x": "y" * 6_000})]), SMALL
    )
    assert "line 2: larger than 5,000 bytes; shorten it" in refused(
        write_lines([row, row | {"sample": "y" * 6_000}]), SMALL
    )
    assert "more than 10 lines" in refused(write_lines([row] * 11), SMALL)
    assert "larger than 20,000 bytes; split it" in refused(
        write_lines([row | {"sample": "y" * 2_000}] * 10), SMALL
    )
    many = write_eval([sample(str(i)) for i in range(11)])
    assert "more than 10 files in it" in refused(many, SMALL)


def test_a_document_that_is_too_large_names_the_way_out(tmp_path: Path, sample: Make, header: Make) -> None:
    path = tmp_path / "log.json"
    path.write_text(json.dumps(header() | {"samples": [sample(store={"x": "y" * 6_000})]}, indent=1), "utf-8")
    assert "`inspect log convert --to eval`" in refused(path, SMALL)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "neither an Inspect log"),
        (b"\n\n", "neither an Inspect log"),
        (b"id,sample\n1,x\n", "neither an Inspect log"),
        (b"\x80\x04\x95.", "neither an Inspect log"),
        (b'{"question": "q", "correct": tru}', "line 1: not JSON"),
        (b'{"question": "\xff", "correct": true}', "line 1: not UTF-8 text"),
        (b"{\n", "not JSON"),
        (b'{\n"eval": 3}', "eval: not a JSON object"),
        (b'{\n"eval": {"model": "m"}}', "no samples in it"),
        (b'{"version": 2, "status": "success", "eval": {"model": "m"}, "samples": []}', "no sample in it"),
        (b"PK\x03\x04 and nothing", "a broken zip file"),
        (b'{"question": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"question": "q", "correct": ' + b"1" * 5_000 + b"}", "line 1: not JSON"),
    ],
)
def test_broken_files_are_refused_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    said = refused(path)
    assert str(path) in said
    assert sentence in said
    assert "\n" not in said


def test_what_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "nothing.eval")
    assert "no regular file" in refused(tmp_path)
    assert "no regular file" in refused(Path("/dev/zero"))


def test_a_zip_of_something_else_or_with_a_password_is_refused(
    tmp_path: Path, write_eval: Write, sample: Make
) -> None:
    path = tmp_path / "other.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert "a zip file without header.json" in refused(path)
    locked = write_eval([sample()])
    raw = bytearray(locked.read_bytes())
    place = raw.rindex(b"PK\x01\x02")  # the sample's entry in the directory; its flags are 8 bytes in
    raw[place + 8] |= 1
    locked.write_bytes(raw)
    assert "samples/1_epoch_1.json: locked by a password" in refused(locked)


def test_unknown_packing_is_refused(write_eval: Write, sample: Make) -> None:
    path = write_eval([sample()])
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 10] = 97
    path.write_bytes(raw)
    assert "packed by method 97, which is unknown; convert the log" in refused(path)


def test_without_the_backport_zstandard_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, write_eval: Write, sample: Make
) -> None:
    path = write_eval([sample()])
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 10] = 93
    path.write_bytes(raw)
    monkeypatch.setattr("ponder.bank.files._unpacker", lambda: zipfile)
    monkeypatch.delattr(zipfile, "ZIP_ZSTANDARD", raising=False)
    with pytest.raises(MissingExtra, match=r"packed by Zstandard needs the extra 'bank'"):
        gather([path])


def test_a_member_written_twice_counts_once_as_last_written(write_eval: Write, sample: Make) -> None:
    path = write_eval([sample()])
    again = sample(scores={"match": {"value": "I", "answer": "8"}})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("samples/1_epoch_1.json", json.dumps(again))
    (found,), _ = gather([path])
    assert found.tasks[0].counts == {"problems": 1, "samples": 1, "right": 0, "ungraded": 0, "failed": 0}
    with path.open("rb") as file:
        assert Archive(file, path, Bounds()).names().count("samples/1_epoch_1.json") == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = {
    "inspect": (
        *("id", "epoch", "input", "target", "choices", "output", "scores", "model_usage", "limit", "error"),
        *("attachments", "started_at", "total_time", "uuid", "invalidation", "eval", "plan"),
    ),
    "lm-eval": (
        *(
            "doc_id",
            "doc",
            "target",
            "arguments",
            "resps",
            "filtered_resps",
            "filter",
            "metrics",
            "exact_match",
        ),
    ),
    "plain": (
        *(
            "question",
            "id",
            "task",
            "model",
            "sample",
            "choice",
            "correct",
            "answer",
            "options",
            "tokens",
            "flop",
        ),
        *("finish", "prompt_tokens", "reasoning"),
    ),
}
BOTH = [(kind, field) for kind, fields in FIELDS.items() for field in fields]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.sampled_from(BOTH), value=JSON)
@example(at=("inspect", "scores"), value={"match": {"value": 10**400}})
@example(at=("inspect", "output"), value={"choices": [{"message": {"content": ["x", {"type": ["text"]}]}}]})
@example(at=("inspect", "scores"), value={"match": {"value": "\ud800"}})
@example(at=("inspect", "plan"), value={"steps": 3, "config": {"temperature": math.nan}})
@example(at=("lm-eval", "arguments"), value={"gen_args_0": {"arg_0": 3, "arg_1": {"temperature": math.inf}}})
@example(at=("plain", "finish"), value=[])
@example(at=("plain", "id"), value=math.nan)
def test_any_value_of_any_field_is_read_or_refused(
    tmp_path: Path,
    write_lines: Write,
    sample: Make,
    header: Make,
    row: Make,
    at: tuple[str, str],
    value: Any,
) -> None:
    kind, field = at
    wanted = Wanted(score={"inspect": "match", "lm-eval": "exact_match"}.get(kind))
    if kind == "inspect":
        head, odd = header(), sample("2")
        (head if field in head else odd)[field] = value
        path = write_lines([head | {"samples": [sample("1"), odd]}], "log.json")
    elif kind == "lm-eval":
        path = write_lines([row(0), row(1) | {field: value}])
    else:
        told = {"question": "3 + 4?", "sample": "7", "answer": "7", "options": ["6", "7"]}
        path = write_lines([told, told | {field: value}])
    with contextlib.suppress(BankFileError):
        found, _ = gather([path], wanted)
        json.dumps([each.config() for each in found], allow_nan=False)
