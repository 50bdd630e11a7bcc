"""The o1 figure: numbers from recordings, the picture, files that cannot be used."""

from __future__ import annotations

import json
import lzma
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from ponder.cli.figure import figure
from ponder.core import Shape
from ponder.errors import InputError
from ponder.flop import parameters
from ponder.report import o1 as numbers
from ponder.report.o1 import O1, committed, gather, read
from ponder.report.o1_files import write_figure
from ponder.train.recorded import Tally, load, save

TASK, SEARCH = "char_countdown:numbers=4", "char_countdown:numbers=4,search=true"
DRAWS, PROBLEMS = 16, 5


def shape(width: int) -> Shape:
    return Shape(2, width, 2, 2, width // 2, 2 * width, 54, tied=True)


def tally(at: int, right: int, length: int) -> Tally:
    """`right` draws agree on one right answer, the others on nothing."""
    wrong = {f"w{i}": (1, False) for i in range(DRAWS - right)}
    return Tally(
        id=f"p{at}",
        prompt_tokens=12,
        draws=DRAWS,
        right=right,
        silent=0,
        ungraded=0,
        cut=0,
        choices={"r": (right, True), **wrong} if right else wrong,
        lengths_right=Counter({length + i % 3: 1 for i in range(right) if i < 3} if right else {}),
        lengths_wrong=Counter({length: DRAWS - right}) if right < DRAWS else Counter(),
    )


def recording(place: Path, name: str, *, size: str, width: int, right: int, **changes: Any) -> None:
    task = changes.pop("task", TASK)
    length = changes.pop("length", 20)
    about = {
        "name": f"{name}",
        "task": task,
        "shape": asdict(shape(width)),
        "training_flop": changes.pop("training_flop", 1e9),
        "training": {"size": size, "mixture": "steps", "recipe": "random", "seed": 0, **changes},
    }
    tallies = []
    for at in range(PROBLEMS):
        count = min(3, max(0, right - at))
        tallies.append(tally(at, count, length))
    save(place / f"{name.replace('/', '-')}.{len(task)}.jsonl.xz", about, tallies)


def reinforced(place: Path, *, size: str, task: str = TASK, stages: Any = None) -> None:
    place.mkdir(parents=True)
    each = {"value": 0.3, "low": 0.2, "high": 0.4}
    evaluations = [{"step": at, "flop": 1e8 * at, "passed": {"1": each}} for at in range(3)]
    (place / "rl.json").write_text(json.dumps({"task": task, "evaluations": evaluations}))
    told = [{"stage": "pretrain", "flop": 1e9}, {"stage": "rl_update", "flop": 2e8}]
    training = {"size": size, "stages": told if stages is None else stages}
    (place / "ponder.json").write_text(json.dumps(training))


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Three sizes at two rungs each, one of two seeds; the middle one also searches and is reinforced."""
    for at, (size, width) in enumerate((("8k", 16), ("28k", 32), ("154k", 64))):
        for rung in (1, 2):
            name, compute = f"{size}-steps-random-0/{rung}", 1e9 * 3**at * rung
            recording(tmp_path, name, size=size, width=width, right=at + rung, training_flop=compute)
    recording(tmp_path, "8k-steps-random-1/2", size="8k", width=16, right=3, training_flop=2e9, seed=1)
    recording(tmp_path, "8k-steps-curated-0/1", size="8k", width=16, right=3, recipe="curated")
    recording(tmp_path, "28k-search-random-0/1", size="28k", width=32, right=3, task=SEARCH, length=100)
    reinforced(tmp_path / "rl" / "28k", size="28k")
    (tmp_path / "replies.jsonl.xz").write_bytes(lzma.compress(b'{"prompt": "another format"}'))
    return tmp_path


def lines(found: O1, panel: str, kind: str) -> dict[str, numbers.Line]:
    return {line.size: line for line in found.lines if (line.panel, line.kind) == (panel, kind)}


def test_pretraining_is_a_line_a_size_in_the_order_of_size(runs: Path) -> None:
    found = gather(runs, TASK)
    assert list(found.sizes.items()) == [
        (n, parameters(shape(w))) for n, w in (("8k", 16), ("28k", 32), ("154k", 64))
    ]
    assert found.problems == PROBLEMS
    trained = lines(found, "training", "pretraining")
    assert [point.flop for point in trained["28k"].points] == [3e9, 6e9]
    ones = [load(path).passed([1]) for path in sorted(runs.glob("8k-steps-random-*-2.*"))]
    assert len(ones) == 2
    assert trained["8k"].points[1].value == pytest.approx(sum(one.mean() for one in ones) / 2)
    assert all(p.low <= p.value <= p.high for line in found.lines for p in line.points)


def test_reinforcement_begins_at_the_compute_of_its_start(runs: Path) -> None:
    (line,) = lines(gather(runs, TASK), "training", "rl").values()
    assert line.size == "28k"
    assert [point.flop for point in line.points] == pytest.approx([1e9, 1.1e9, 1.2e9])


def test_inference_is_of_each_size_s_last_checkpoint(runs: Path) -> None:
    found = gather(runs, TASK)
    last = load(next(runs.glob("154k-steps-random-0-2.*")))
    ks = [1, 2, 4, 8, 16]
    for kind, values in (("vote", last.vote(ks)), ("any", last.passed(ks))):
        line = lines(found, "inference", kind)["154k"]
        assert [point.value for point in line.points] == pytest.approx(values.mean(axis=0).tolist())
        assert [point.flop for point in line.points] == pytest.approx(last.flop(ks).mean(axis=0).tolist())
    chains = lines(found, "inference", "chain")
    assert set(chains) == {"28k"}
    assert chains["28k"].points[0].value == 0
    assert chains["28k"].points[-1].value == pytest.approx(
        load(next(runs.glob("28k-search*"))).passed([1]).mean()
    )


def test_of_many_sizes_three_are_shown_on_the_right(runs: Path) -> None:
    recording(runs, "448k-steps-random-0/1", size="448k", width=96, right=3, training_flop=4e10)
    recording(runs, "1m-steps-random-0/1", size="1m", width=128, right=3, training_flop=9e10)
    assert set(lines(gather(runs, TASK), "inference", "vote")) == {"8k", "154k", "1m"}


def test_the_files_hold_the_same_numbers_and_both_panels(runs: Path, tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    found = gather(runs, TASK)
    written = write_figure(found, tmp_path / "out" / "o1")
    assert [path.suffix for path in written] == [".png", ".svg", ".json"]
    assert read(written[2]) == found
    assert written[0].read_bytes().startswith(b"\x89PNG")
    svg = written[1].read_text("utf-8")
    ElementTree.fromstring(svg)
    for words in (
        "Training FLOP",
        "Inference FLOP per problem",
        "reinforcement learning",
        "vote of N samples",
    ):
        assert words in svg
    result = CliRunner().invoke(
        figure, ["o1", "--runs", str(written[2]), "--out", str(tmp_path / "again.json")]
    )
    assert result.exit_code == 0, result.output
    assert read(tmp_path / "again.json") == found


def test_what_cannot_be_drawn_is_said(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"has no recording of char_chain"):
        gather(runs, "char_chain:operations=6")
    with pytest.raises(InputError, match=r"is no .png, .svg, .json"):
        write_figure(gather(runs, TASK), tmp_path / "o1.pdf")
    (tmp_path / "numbers.json").write_text('{"format": "else"}')
    with pytest.raises(InputError, match=r"a figure's numbers"):
        read(tmp_path / "numbers.json")
    monkeypatch.setattr(numbers, "_PACKAGED", "absent.json")
    with pytest.raises(InputError, match=r"give a folder with --runs"):
        committed()
    reinforced(runs / "bad", size="28k", stages=[])
    with pytest.raises(InputError, match=r"does not tell what the start took"):
        gather(runs, TASK)


@pytest.mark.parametrize(
    "change",
    [
        {"points": [{"flop": 1e9, "value": math.nan, "low": 0.1, "high": 0.2, "at": "x"}]},
        {"points": [{"flop": 1e9, "value": "half", "low": 0.1, "high": 0.2, "at": "x"}]},
        {"panel": "middle"},
    ],
)
def test_numbers_that_are_none_are_refused(change: dict[str, Any], tmp_path: Path) -> None:
    told = committed().to_json()
    told["lines"] = [{**told["lines"][0], **change}]
    (tmp_path / "numbers.json").write_text(json.dumps(told))
    with pytest.raises(InputError, match=r"numbers.json cannot be read .*: give a folder"):
        read(tmp_path / "numbers.json")


def test_the_package_holds_what_the_committed_runs_come_to() -> None:
    """`ponder figure o1 --runs benchmarks/results/ladder --out src/ponder/data/o1.json` writes it."""
    runs = Path(__file__).parents[2] / "benchmarks" / "results" / "ladder"
    held, made = committed(), gather(runs, TASK)
    assert (held.task, held.problems, held.sizes, held.sources) == (
        made.task,
        made.problems,
        made.sizes,
        made.sources,
    )
    assert {line.kind for line in held.lines} >= {"pretraining", "vote", "any", "chain"}
    for one, two in zip(held.lines, made.lines, strict=True):
        assert (one.panel, one.kind, one.size) == (two.panel, two.kind, two.size)
        for point, again in zip(one.points, two.points, strict=True):
            assert point.at == again.at
            numbers_of = [(each.flop, each.value, each.low, each.high) for each in (point, again)]
            assert numbers_of[0] == pytest.approx(numbers_of[1], rel=1e-6, abs=1e-9)
