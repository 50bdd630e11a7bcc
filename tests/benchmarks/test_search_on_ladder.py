"""Searches on the ladder: rivals at equal compute, paired differences, and the section of the docs."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from benchmarks.search_on_ladder import PARTS, Arm, compared, cut_at, reference, summary, vote_at
from docs.ladder_section import ladder_section

from ponder.core import Shape
from ponder.train.recorded import Recorded, Tally

SHAPE = Shape(2, 16, 2, 2, 8, 48, 54)
RUN = [1.0, 1e6, 20.0, 0.0]


def tally(name: str, right: int) -> Tally:
    """Eight draws: the right ones of 10 tokens each, the wrong ones of 30 and all different."""
    wrong = 8 - right
    choices = {"right": (right, True)} if right else {}
    choices |= {f"wrong {i}": (1, False) for i in range(wrong)}
    return Tally(name, 12, 8, right, 0, 0, 0, choices, {10: right}, {30: wrong} if wrong else {})


def recording(*right: int) -> Recorded:
    about = {"name": "a/1", "task": "char_countdown", "max_tokens": 40, "shape": asdict(SHAPE)}
    return Recorded(about, tuple(tally(f"p{at}", n) for at, n in enumerate(right)))


def arm(flop: float, tokens: float = 1.0, right: tuple[float, ...] = (1.0, 0.0)) -> Arm:
    return Arm(np.array(right), np.full(2, flop), np.full(2, tokens), np.zeros(2))


def test_a_vote_costs_what_the_arm_did() -> None:
    recorded = recording(4, 2)
    costs = recorded.flop(range(1, 9)).mean(axis=0)
    for wanted in (costs[0], costs[2], 0.75 * costs[2] + 0.25 * costs[3], costs[7]):
        values, at = vote_at(recorded, arm(wanted))
        assert at["flop"] == pytest.approx(wanted)
        assert values.shape == (2,)
    values, at = vote_at(recorded, arm(0.75 * costs[2] + 0.25 * costs[3]))
    assert at["samples"] == pytest.approx(3.25)
    assert values == pytest.approx(recorded.vote([3, 4]) @ [0.75, 0.25])


def test_a_vote_generates_as_many_tokens_as_the_arm_did() -> None:
    recorded = recording(4, 2)  # of 20 and 25 tokens in the mean
    values, at = vote_at(recorded, arm(1.0, tokens=56.25), "tokens")
    assert at == {"samples": pytest.approx(2.5), "tokens": pytest.approx(56.25)}
    assert values == pytest.approx(recorded.vote([2, 3]) @ [0.5, 0.5])


def test_no_vote_is_of_less_than_one_sample_or_of_more_than_are_recorded() -> None:
    recorded = recording(4, 2)
    assert vote_at(recorded, arm(1.0))[1]["samples"] == 1
    values, at = vote_at(recorded, arm(1e12))
    assert at["samples"] == 8
    assert values == pytest.approx(recorded.vote([8])[:, 0])


def test_plain_chains_are_cut_off_at_the_arms_tokens() -> None:
    recorded = recording(8, 4)
    values, at = cut_at(recorded, arm(1.0, tokens=9.0))
    assert (values.tolist(), at) == ([0.0, 0.0], {"limit": 9.0, "tokens": 9.0})
    values, at = cut_at(recorded, arm(1.0, tokens=99.0))
    assert (values.tolist(), at["tokens"]) == ([1.0, 0.5], 15.0)


def test_a_forced_chain_is_set_beside_itself_before_the_waits() -> None:
    mended = {"p0": [[1.0, 1e6, 20.0, 0.0]], "p1": [[1.0, 1e6, 20.0, 1.0], [0.0, 1e6, 20.0, 1.0]]}
    rows = {f"{strategy} {arm}": mended for strategy, arm in PARTS["force"].arms}
    first = next(summary("force", rows, ["p0", "p1"], recording(0, 1), None))
    assert first["rivals"]["unforced"]["accuracy"] == 0.5
    assert first["rivals"]["unforced"]["difference"] == 0.25


def test_differences_are_paired() -> None:
    right = np.array([1.0, 0.0] * 20)
    same = compared(right, (right, {"flop": 1.0}))
    assert same["difference"] == 0
    ahead = compared(np.ones(40), (np.zeros(40), {"flop": 1.0}))
    assert (ahead["difference"], ahead["accuracy"], ahead["flop"]) == (1.0, 0.0, 1.0)
    assert 0.8 < ahead["low"] < ahead["high"] <= 1


def part(name: str, recorded: Recorded, beside: Recorded | None = None) -> dict[str, object]:
    rows = {f"{strategy} {arm}": {"p0": [RUN], "p1": [RUN, RUN]} for strategy, arm in PARTS[name].arms}
    names = [each.id for each in recorded.tallies]
    setting = {"recording": "a/1", "task": "t", "problems": 2, "repeats": 4, "beside": "b/1"}
    told = list(summary(name, rows, names, recorded, beside))
    return {"setting": setting, "summary": told, "reference": reference(recorded)}


def test_the_section_tells_every_part_that_was_run_and_no_other() -> None:
    assert ladder_section(None) == ""
    assert ladder_section({"parts": {"search": {"summary": []}}}) == ""
    recorded = recording(0, 1)
    text = ladder_section({"parts": {"force": part("force", recorded)}})
    assert "### One longer chain" in text
    assert "### Searches" not in text
    assert "| `force:limit=200,waits=1` | 20 | 1M | 100.0 [" in text
    parts = {name: part(name, recorded, recorded if name == "cascade" else None) for name in PARTS}
    text = ladder_section({"parts": parts})
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert len(rows) == sum(len(each.strategies) for each in PARTS.values())
    assert "Over shuffled scores: surely ahead none; surely behind none; undecided 12." in " ".join(
        text.split()
    )


def test_a_verdict_names_who_is_surely_ahead() -> None:
    recorded = recording(*[0] * 30)
    rows = {f"{s} {a}": {f"p{i}": [RUN] for i in range(30)} for s, a in PARTS["force"].arms}
    told = list(summary("force", rows, [f"p{i}" for i in range(30)], recorded, None))
    setting = {"recording": "a/1", "task": "t", "problems": 30, "repeats": 1}
    text = ladder_section(
        {"parts": {"force": {"setting": setting, "summary": told, "reference": reference(recorded)}}}
    )
    assert "Over a vote: surely ahead all; surely behind none; undecided 0." in " ".join(text.split())
    assert max(map(len, (line for line in text.splitlines() if line[:1] not in "#|"))) <= 120
