"""Files of samples in every format, made small."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Sampled = Mapping[str, Any]


def inspect_sample(identity: str = "1", epoch: int = 1, **changes: Any) -> dict[str, Any]:
    """A sample as Inspect writes it, right unless `changes` say otherwise."""
    usage = {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}
    return {
        "id": identity,
        "epoch": epoch,
        "input": f"Question {identity}?",
        "target": "7",
        "messages": [],
        "output": {
            "model": "m",
            "choices": [
                {"message": {"role": "assistant", "content": "It is 7."}, "stop_reason": "stop"},
            ],
            "usage": usage,
        },
        "scores": {"match": {"value": "C", "answer": "7"}},
        "model_usage": {"lab/m": usage},
        "started_at": "2026-05-01T10:00:00+00:00",
        "total_time": 1.5,
        "uuid": f"uid-{identity}-{epoch}",
    } | changes


def inspect_header(**changes: Any) -> dict[str, Any]:
    spec = {"task": "sums", "model": "lab/m", "model_generate_config": {}} | changes
    plan = {"steps": [{"solver": "generate", "params": {}}], "config": {"temperature": 0.7}}
    return {"version": 2, "status": "success", "eval": spec, "plan": plan}


@pytest.fixture
def sample() -> Callable[..., dict[str, Any]]:
    return inspect_sample


@pytest.fixture
def header() -> Callable[..., dict[str, Any]]:
    return inspect_header


@pytest.fixture
def write_eval(tmp_path: Path) -> Callable[..., Path]:
    """Write an `.eval` log of these samples."""

    def write(
        samples: Sequence[Sampled],
        name: str = "log.eval",
        head: Sampled | None = None,
        at: str = "header.json",
    ) -> Path:
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(at, json.dumps(inspect_header() if head is None else head))
            for each in samples:
                member = f"samples/{each['id']}_epoch_{each['epoch']}.json"
                archive.writestr(member, json.dumps(each))
        return path

    return write


@pytest.fixture
def write_lines(tmp_path: Path) -> Callable[..., Path]:
    """Write JSON lines."""

    def write(rows: Sequence[Any], name: str = "samples.jsonl") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        return path

    return write


def lm_eval_row(doc: int = 0, value: float = 1.0, filtered: str = "7", **changes: Any) -> dict[str, Any]:
    """A line of the harness' sample file."""
    return {
        "doc_id": doc,
        "doc": {"question": f"Question {doc}?", "target": "7"},
        "target": "7",
        "arguments": {
            "gen_args_0": {"arg_0": f"Q: Question {doc}?\nA:", "arg_1": {"until": [], "temperature": 0.8}}
        },
        "resps": [["It is 7."]],
        "filtered_resps": [filtered],
        "filter": "none",
        "metrics": ["exact_match"],
        "doc_hash": "d",
        "prompt_hash": "p",
        "target_hash": "t",
        "exact_match": value,
    } | changes


@pytest.fixture
def row() -> Callable[..., dict[str, Any]]:
    return lm_eval_row
