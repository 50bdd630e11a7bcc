"""A campaign with ponder as the system: real process, real HTTP; resumed without running anything twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.peers.campaign import Plan, job, run, worker
from benchmarks.peers.endpoint import AT_ONCE, Endpoint, Replay
from benchmarks.peers.outcomes import Outcome, Outcomes
from benchmarks.peers.systems import System
from benchmarks.peers.table import figures_of, grading, lines, live_check

from tests.benchmarks.conftest import MakeBank

VOTE = System("vote:n=64", "ponder", "vote", {"strategy": "vote:n=3"})


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PONDER_PEERS", str(tmp_path))


async def test_a_system_runs_and_its_outcomes_are_resumed_paired_and_true(
    banked: MakeBank, tmp_path: Path
) -> None:
    problems = [
        banked(["9", "8", "9"], tokens=[2, 3, 4], name="a"),
        banked(["7", "7", "9"], tokens=[5, 6, 7], name="b"),
    ]
    outcomes = Outcomes(tmp_path / "outcomes.jsonl")
    async with Endpoint(Replay(problems, AT_ONCE), problems) as endpoint:
        await run(Plan("replay", [VOTE], problems[:1], width=2), endpoint, outcomes)
        await run(Plan("replay", [VOTE], problems, width=2), endpoint, outcomes)
        await run(Plan("replay", [VOTE], problems, width=2), endpoint, outcomes)
    outcomes.close()
    rows = list(outcomes)
    answered = [row for row in rows if row.problem]
    assert [row.problem for row in answered] == ["a", "b"]
    assert [row.true["completion_tokens"] for row in answered] == [9, 18]
    assert all(row.error is None for row in answered)
    # What ponder says is the truth, its trial of the server with it.
    assert sum(row.reported["completion_tokens"] or 0 for row in answered) == sum(
        row.true["completion_tokens"] for row in rows
    )
    told = figures_of(rows, problems, [VOTE], "replay")
    assert told["all"]["systems"]["vote:n=64"]["accuracy"][0] == 0.5
    assert "held out" not in told
    shown = lines({"replay": told, "reported": {}})
    assert any("vote:n=64" in line and "50.0" in line for line in shown)


async def test_a_system_that_fails_has_its_failure_as_outcome(banked: MakeBank, tmp_path: Path) -> None:
    problems = [banked(["9", "8"], name="a")]
    wants_more = System("greedy", "ponder", "greedy", {"strategy": "vote:n=3"})
    outcomes = Outcomes(tmp_path / "outcomes.jsonl")
    async with Endpoint(Replay(problems, AT_ONCE), problems) as endpoint:
        await run(Plan("replay", [wants_more], problems), endpoint, outcomes)
    outcomes.close()
    failed = next(iter(outcomes))
    assert failed.text is None
    assert failed.error is not None
    assert "holds 2 samples" in failed.error
    assert failed.true["refused"] >= 1


def test_all_texts_are_read_by_the_same_rule(banked: MakeBank) -> None:
    right = grading()
    problem = banked(["9"])
    assert right(problem, "4 + 5 = 9")
    assert right(problem, "It is 9.")
    assert not right(problem, "It is 8.")
    assert not right(problem, None)


async def test_a_worker_that_cannot_start_ends_the_campaign_instead_of_waiting(banked: MakeBank) -> None:
    with pytest.raises(RuntimeError, match="has ended"):
        async with worker(VOTE, "http://127.0.0.1:9/v1") as running:
            await running.begin(job(banked(["9"]), 0))


def test_live_outcomes_are_compared_with_the_replayed_ones_of_the_same_problems(banked: MakeBank) -> None:
    problems = [banked(["9"], name="a"), banked(["9"], name="b")]

    def rows(stage: str, texts: tuple[str, str], tokens: int) -> list[Outcome]:
        true = {"completion_tokens": tokens, "prompt_tokens": 0, "prompt_tokens_cached": 0, "samples": 3}
        names = zip("ab", texts, strict=True)
        return [Outcome(stage, VOTE.name, "1", 0, name, "", text, {}, true, 0.1) for name, text in names]

    outcomes = rows("live", (" 9", " 8"), 30) + rows("replay", (" 9", " 9"), 20)
    told = live_check(outcomes, problems, [VOTE])
    assert told[VOTE.name]["less_replayed"][0] == -0.5
    assert told[VOTE.name]["of_replayed"][0] == pytest.approx(1.5)
    assert live_check(rows("live", (" 9", " 8"), 30), problems, [VOTE]) == {}
