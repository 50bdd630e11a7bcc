"""Efforts: how many samples they take, when they pay; and how concentrated owners are."""

from __future__ import annotations

import numpy as np
import pytest

from ponder.errors import InputError, LawUndefined
from ponder.govern import efforts
from ponder.govern.actors import concentration
from ponder.govern.calculator import LawChoice, Measured
from ponder.govern.efforts import (
    EFFORTS,
    Effort,
    SampleLength,
    measure_efforts,
    most_samples,
    until_settled,
)
from ponder.govern.frontier import best_of, switch_values
from ponder.laws import Ballot, Counts
from ponder.quantity import point
from ponder.strategies import plan
from ponder.strategies._posterior import leader_wins
from tests.govern.cases import middles, outcome


def counts(
    shares: list[list[float]], draws: int = 40, task: str = "t", tokens: float | None = 50.0
) -> Counts:
    """Problems whose answers were given with these shares, the first answer right; the rest gave none."""
    given = [np.round(np.array(each) * draws).astype(np.int64) for each in shares]
    return Counts(
        name="m",
        task=task,
        ids=tuple(f"p{place}" for place in range(len(shares))),
        draws=np.full(len(shares), draws, dtype=np.int64),
        right=np.array([each[0] for each in given]),
        ballots=tuple(Ballot(each, np.arange(len(each)) == 0) for each in given),
        tokens=None if tokens is None else np.full(len(shares), tokens),
    )


MIXED = [[0.9, 0.1], [0.5, 0.3, 0.1], [0.4, 0.4, 0.2], [0.2, 0.7], [0.3, 0.1, 0.1, 0.1], [1.0]] * 4


def test_effort_words_and_their_most_samples_are_the_tables() -> None:
    assert {each.word: each.most for each in EFFORTS} == {
        "minimal": 1, "low": 8, "medium": 32, "high": 128, "xhigh": 512, "max": 2048,
    }  # fmt: skip
    assert most_samples("high") == 128
    assert np.isnan(most_samples("none"))


@pytest.mark.parametrize(
    ("left", "off"), [(3, 1e-7), (7, 1e-7), (64, 1e-7), (90, 0.01), (150, 0.01), (401, 1e-4), (1800, 1e-4)]
)
def test_a_rivals_chance_is_the_strategys_own(left: int, off: float) -> None:
    """All outcomes are added up where few draws are left, and nearly so above: over many rivals as over one,
    with draws that gave no answer."""
    rng = np.random.default_rng(left)
    shares = rng.dirichlet([2.0, 1.0, 0.5, *[0.2] * 12], size=20)
    votes = np.array([rng.multinomial(90, each) for each in shares])
    told = efforts._chance_to_lose(votes, 100, left)
    own = [1.0 - leader_wins([int(n) for n in each if n], left, abstained=10) for each in votes]
    assert np.minimum(told, 1.0) == pytest.approx(np.array(own), abs=off)
    assert ((np.array(own) > 0.005) & (np.array(own) < 0.5)).any()


@pytest.mark.parametrize(
    ("most", "delta", "problems"), [(48, 0.1, 12), (128, 0.05, 6), (512, 0.02, 1), (2048, 0.01, 2)]
)
def test_a_vote_is_settled_when_the_strategy_itself_stops(most: int, delta: float, problems: int) -> None:
    of = counts([[0.8, 0.2], [0.6, 0.3, 0.1], [0.4, 0.2, 0.1], [0.55, 0.45], [0.5]] * problems)
    said = np.array([until_settled(of, most, delta, seed=seed) for seed in range(20)])
    seen = efforts._driven(Effort("", plan(f"adaptive_vote:n={most},delta={delta}"), most), of)
    chance = np.sqrt(said.var(axis=0).sum() * (1.0 + 1.0 / len(said))) / seen.size
    assert said.mean() == pytest.approx(seen.mean(), abs=2.5 * chance)


def test_unanimous_answers_settle_at_once_and_ties_never() -> None:
    sure, tied = until_settled(counts([[1.0]] * 50 + [[0.5, 0.5]] * 50), 512, 0.02).reshape(2, 50)
    assert sure.max() < 20
    assert tied.mean() > 200


def test_a_law_gives_accuracy_and_samples_and_not_the_length_of_the_served_models(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(efforts, "_REFITS", 50)
    monkeypatch.setattr(efforts, "counts_of", lambda run, ledger, tasks: (counts(MIXED),))
    found = measure_efforts(LawChoice("r", ""))
    assert "sample_tokens" not in found.quantities
    assert found.law == SampleLength("m", 50.0)
    at_one = found.quantities["efforts.minimal.accuracy"]
    assert at_one.value == pytest.approx(np.mean([each[0] for each in MIXED]), abs=1e-9)
    assert at_one.low < at_one.value < at_one.high
    used = [found.quantities[f"efforts.{each.word}.samples"].value for each in EFFORTS]
    assert used[0] == 1.0
    assert used == sorted(used)
    assert all(value <= each.most for value, each in zip(used, EFFORTS, strict=True))
    assert any("For high, xhigh, max the accuracy is that of" in note for note in found.notes)
    shown = outcome("scale", {"chips": 1000, "task_minutes": 2}, measured=found)
    told = {each.name: each for each in shown.results}
    tokens = told["tokens_of_a_sample"].median
    assert tokens == pytest.approx(1000 * 2**1.75, rel=0.2)
    (note,) = [each for each in shown.notes if each.startswith("A sample is taken to have")]
    assert f"{tokens:,.0f} tokens, by the 2 minutes" in note
    assert "it is of m, whose own samples have 50 tokens" in note
    measured = [each for each in shown.assumptions if each.name.startswith("efforts.")]
    assert {each.origin for each in measured if not each.name.endswith(".budget")} == {"measured"}
    (accuracy,) = [each for each in shown.results if each.name == "accuracy"]
    assert accuracy.median == pytest.approx(found.quantities["efforts.medium.accuracy"].value, abs=0.05)


def test_beside_the_workers_stands_what_they_are_without_the_law_and_with_its_own_samples() -> None:
    few = {"efforts.medium.samples": point(16.0)}
    law = Measured(few, "a law", law=SampleLength("small", 50.0))
    document = {"chips": 1000, "minute_tokens": 1000, "length_exponent": 1, "task_minutes": 2}
    found = outcome("scale", document, measured=law)
    (table,) = [each for each in found.tables if each.name == "what_workers_rest_on"]
    told = {row[0]: row[1:] for row in table.rows}
    assert told["as told"][:2] == (16.0, 2000.0)
    assert told["as told"][3] == found.results[0].median
    assert told["every task takes the most samples"][:2] == (32.0, 2000.0)
    assert told["samples as long as the law's own"][:2] == (16.0, 50.0)
    for basis, stated in (
        ("every task takes the most samples", {}),
        ("samples as long as the law's own", {"sample_tokens": 50, "efforts": {"medium": {"samples": 16}}}),
    ):
        alone = outcome("scale", document | stated).results[0]
        assert told[basis][2:] == pytest.approx((alone.low, alone.median, alone.high))


KNOWN = {"minimal": 0.2, "low": 0.4, "medium": 0.6, "high": 0.8}


def budgeted(tokens: float, budget: str = "1000") -> dict[str, float]:
    """The middle of `scale` at medium effort, samples of so many tokens, and accuracies that are known."""
    each = {word: {"accuracy": accuracy} for word, accuracy in KNOWN.items()}
    each["medium"] |= {"samples": 20, "budget": budget}
    return dict(middles("scale", chips=1000, sample_tokens=tokens, question_tokens=10, efforts=each))


def test_an_effort_spends_no_more_than_its_budget_and_is_as_accurate_as_what_fits() -> None:
    free, same, less, one = (budgeted(tokens) for tokens in (30, 50, 100, 5000))
    assert [each["samples_of_a_task"] for each in (free, same, less, one)] == [20, 20, 10, 1]
    assert [free["accuracy"], one["accuracy"]] == [0.6, 0.2]
    assert same["accuracy"] == pytest.approx(0.4 + 0.2 * np.log(20 / 8) / np.log(4))
    assert less["accuracy"] == pytest.approx(0.4 + 0.2 * np.log(10 / 8) / np.log(4))
    unbound = budgeted(100, "1e9")
    assert unbound["samples_of_a_task"] == 20
    assert less["workers"] > unbound["workers"]
    assert less["users"] == unbound["users"], "their answers are short, so that all fit"


def test_the_budgets_are_those_of_the_effort_table_and_it_says_where_they_bite() -> None:
    assert {each.word: each.tokens for each in EFFORTS} == {
        "minimal": None, "low": None, "medium": 10**5, "high": 5 * 10**5, "xhigh": 2 * 10**6, "max": 10**7,
    }  # fmt: skip
    told = outcome("scale", {"chips": 1000, "sample_tokens": 4000})
    (note,) = [each for each in told.notes if "budget" in each]
    assert "medium in 100%, high in 100%, xhigh in 100%. There" in note
    short = outcome("scale", {"chips": 1000, "sample_tokens": 100})
    assert not any("budget" in each for each in short.notes)


def test_without_accuracies_of_fewer_samples_a_words_own_is_a_bound() -> None:
    alone = middles(
        "scale", chips=1000, sample_tokens=1000, efforts={"medium": {"accuracy": 0.6, "budget": "4000"}}
    )
    assert (alone["samples_of_a_task"], alone["accuracy"]) == (4.0, 0.6)


def test_a_run_of_several_tasks_or_without_answers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    two = (counts(MIXED), counts(MIXED, task="u"))
    monkeypatch.setattr(efforts, "counts_of", lambda run, ledger, tasks: two)
    with pytest.raises(InputError, match=r"^task: r has t, u; name one with --task"):
        measure_efforts(LawChoice("r", ""))
    silent = Counts("m", "t", ("p",), np.array([4]), np.array([1]))
    monkeypatch.setattr(efforts, "counts_of", lambda run, ledger, tasks: (silent,))
    with pytest.raises(LawUndefined, match="tells no answers"):
        measure_efforts(LawChoice("r", ""))


def test_an_effort_pays_from_the_value_at_which_it_beats_every_cheaper_one() -> None:
    cost = np.array([[1.0], [3.0], [4.0]])
    accuracy = np.array([[0.5], [0.6], [0.75]])
    # The third beats the first from 3/0.25 = 12 and the second from 1/0.15 = 6.7.
    assert switch_values(cost, accuracy)[:, 0] == pytest.approx([0.0, 20.0, 12.0])
    assert best_of(np.array([11.9]), np.array([0.0]), cost, accuracy) == [0]
    assert best_of(np.array([12.1]), np.array([0.0]), cost, accuracy) == [2]
    assert best_of(np.array([1.9]), np.array([0.0]), cost, accuracy) == [-1]
    assert best_of(np.array([11.0]), np.array([4.0]), cost, accuracy) == [2]


def test_an_effort_that_is_no_better_never_pays() -> None:
    found = switch_values(np.array([[1.0], [2.0]]), np.array([[0.5], [0.5]]))
    assert found[1, 0] == np.inf
    unknown = switch_values(np.array([[1.0], [2.0]]), np.array([[0.5], [np.nan]]))
    assert np.isnan(unknown[1, 0])


def test_concentration_of_one_of_equals_and_of_many_counted_together() -> None:
    def of(*chips: float, single: list[bool]) -> tuple[float, float]:
        total, largest, index = concentration(list(np.array(chips)[:, None]), single)
        assert total == [sum(chips)]
        return float(largest[0]), float(index[0])

    assert of(7.0, single=[True]) == (7.0, 1.0)
    assert of(2.0, 2.0, 2.0, 2.0, single=[True] * 4) == (2.0, 0.25)
    assert of(6.0, 2.0, 9.0, single=[True, True, False]) == pytest.approx((6.0, 40 / 17**2))
    assert np.isnan(of(5.0, single=[False])[0])


def test_owners_alone_that_are_many_have_no_largest() -> None:
    found = outcome("scale", {"chips": 1000, "actors": {"them": {"fleet": "china"}}}, draws=20)
    told = {each.name: each.median for each in found.results}
    assert told["largest_share"] is None
    assert told["largest_workers"] is None
    (table,) = [each for each in found.tables if each.name == "actors"]
    assert table.rows[0][2] == 1.0
