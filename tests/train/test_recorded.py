"""What is read from a recording's counts, held against the draws themselves."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ponder.core import Shape
from ponder.errors import InputError
from ponder.flop import decode_flop, prefill_flop
from ponder.train.recorded import LISTED, Recorded, Tally, estimated, load, save

SHAPE = Shape(layers=2, d_model=32, heads=2, kv_heads=2, d_head=16, d_ff=64, vocab=54, tied=True)
ABOUT = {"name": "tiny", "task": "made", "shape": asdict(SHAPE), "training_flop": 1e9}

Draw = tuple[str | None, bool, int]  # the answer, whether it is right, its tokens
FIRST: list[Draw] = [("a", True, 3), ("b", False, 5), ("b", False, 4), (None, False, 9), ("c", True, 2)]
SECOND: list[Draw] = [("x", False, 1), ("y", False, 1), ("x", False, 2), ("z", True, 7), ("z", True, 6)]


def tally(identity: str, draws: list[Draw]) -> Tally:
    given = Counter(choice for choice, _, _ in draws if choice is not None)
    marks = {choice: right for choice, right, _ in draws}
    return Tally(
        id=identity,
        prompt_tokens=4,
        draws=len(draws),
        right=sum(right for _, right, _ in draws),
        silent=sum(choice is None for choice, _, _ in draws),
        ungraded=0,
        cut=0,
        choices={choice: (count, marks[choice]) for choice, count in given.items()},
        lengths_right=Counter(tokens for _, right, tokens in draws if right),
        lengths_wrong=Counter(tokens for _, right, tokens in draws if not right),
    )


@pytest.fixture
def recorded() -> Recorded:
    return Recorded(ABOUT, (tally("1", FIRST), tally("2", SECOND)))


def voted(draws: tuple[Draw, ...]) -> float:
    """The share of right answers among those that tie for most votes."""
    votes = Counter(choice for choice, _, _ in draws if choice is not None)
    marks = {choice: right for choice, right, _ in draws}
    tied = [choice for choice, count in votes.items() if count == max(votes.values())]
    return float(np.mean([marks[choice] for choice in tied])) if tied else 0.0


def test_votes_and_coverage_are_those_of_all_subsets(recorded: Recorded) -> None:
    for k in range(1, 6):
        for row, draws in enumerate((FIRST, SECOND)):
            subsets = list(combinations(draws, k))
            passed = np.mean([any(right for _, right, _ in each) for each in subsets])
            assert recorded.passed([k])[row, 0] == pytest.approx(passed)
            assert recorded.vote([k])[row, 0] == pytest.approx(np.mean([voted(each) for each in subsets]))


def test_a_chain_that_is_cut_off(recorded: Recorded) -> None:
    limits = [2, 4, 9]
    for row, draws in enumerate((FIRST, SECOND)):
        for column, most in enumerate(limits):
            right = np.mean([right and tokens <= most for _, right, tokens in draws])
            assert recorded.cut_at(limits)[row, column] == pytest.approx(right)
            mean = np.mean([min(tokens, most) for _, _, tokens in draws])
            assert recorded.chain_tokens(limits)[row, column] == pytest.approx(mean)
            cost = np.mean([decode_flop(SHAPE, 4, min(tokens, most)) for _, _, tokens in draws])
            wanted = cost + prefill_flop(SHAPE, 4)
            assert recorded.chain_flop(limits)[row, column] == pytest.approx(wanted)


def test_several_draws_read_the_prompt_once(recorded: Recorded) -> None:
    one, three = recorded.flop([1, 3])[0]
    assert three - 3 * one == pytest.approx(-2 * prefill_flop(SHAPE, 4))
    assert recorded.tokens.tolist() == pytest.approx([23 / 5, 17 / 5])


def test_answers_that_are_not_named_still_vote(tmp_path: Path) -> None:
    many: list[Draw] = [(f"{at}", at == 0, 1) for at in range(LISTED + 10) for _ in range(2)]
    many += [("most", True, 1)] * 3
    whole = Recorded(ABOUT, (tally("1", many),))
    save(tmp_path / "a.jsonl.xz", ABOUT, whole.tallies)
    kept = load(tmp_path / "a.jsonl.xz")
    assert len(kept.tallies[0].choices) == LISTED
    assert sum(kept.tallies[0].rest_wrong.values()) + sum(kept.tallies[0].rest_right.values()) == 11
    ks = [1, 2, 5, 20, len(many)]
    assert kept.vote(ks)[0] == pytest.approx(whole.vote(ks)[0])
    assert kept.passed(ks)[0] == pytest.approx(whole.passed(ks)[0])


def test_more_draws_are_added_to_those_that_are_there() -> None:
    both = tally("1", FIRST) + tally("1", SECOND)
    assert both == tally("1", FIRST + SECOND)
    with pytest.raises(ValueError, match="different problems"):
        tally("1", FIRST) + tally("2", SECOND)


def test_an_interval_holds_its_mean(recorded: Recorded) -> None:
    for each in estimated(recorded.passed([1, 5])):
        assert each.low < each.value <= each.high


def broken(path: Path, **changes: Any) -> Path:
    """A file whose one problem has other values."""
    line = tally("1", FIRST).to_json() | changes
    with lzma.open(path, "wt") as file:
        file.write(json.dumps({"format": "ponder draws", "version": 1, **ABOUT}) + "\n" + json.dumps(line))
    return path


@pytest.mark.parametrize(
    "changes",
    [{"right": 3}, {"draws": -5}, {"silent": 0}, {"choices": [["a", 9, True]]}, {"lengths_right": {}}],
)
def test_counts_that_do_not_add_up_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert load(broken(tmp_path / "a.xz")).draws == 5
    with pytest.raises(InputError, match="cannot be read"):
        load(broken(tmp_path / "b.xz", **changes))


def test_files_that_are_no_recordings_are_refused(tmp_path: Path) -> None:
    plain = tmp_path / "plain.xz"
    plain.write_text("{}")
    other = tmp_path / "other.xz"
    other.write_bytes(lzma.compress(b'{"format": "else"}\n'))
    cut = tmp_path / "cut.xz"
    save(cut, ABOUT, [tally("1", FIRST)])
    cut.write_bytes(cut.read_bytes()[:-30])
    for path in (plain, other, cut, tmp_path / "none.xz"):
        with pytest.raises(InputError, match="record it again"):
            load(path)
