"""Strategies as pure generators, without a driver."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Answer, Draw, Prompt, Question, Reply, Sample, Score, Strategy
from ponder.errors import InputError, UnknownName
from ponder.strategies import names, plan
from ponder.strategies._steps import majority, top

QUESTION = Question("q", "?", Prompt((), "worked"), Prompt((), "direct"))

choices = st.sampled_from(["7", "8", "9", None])
samples = st.lists(
    st.builds(Sample, text=st.sampled_from("abc"), choice=choices, logprob=st.floats(-9, 0)), max_size=12
)


def drive(
    strategy: Strategy,
    drawn: list[Sample],
    scores: list[float | None] | None = None,
    *,
    final: bool = False,
) -> Answer:
    """Serve every wave from these samples and scores; ten waves at most."""
    wave = next(strategy)
    for _ in range(10):
        asks = wave.asks
        told = tuple(tuple(drawn[: a.n]) if isinstance(a, Draw) else () for a in asks)
        values = tuple(tuple(scores or ()) if isinstance(a, Score) else () for a in asks)
        try:
            wave = strategy.send(Reply(told, values, final=final))
        except StopIteration as end:
            answer: Answer = end.value
            return answer
    pytest.fail("the strategy went on asking")


@given(samples, st.randoms(use_true_random=False), st.integers())
def test_the_order_of_samples_never_changes_a_vote(drawn: list[Sample], shuffle: Random, seed: int) -> None:
    before = majority(drawn, Random(seed))
    mixed = list(drawn)
    shuffle.shuffle(mixed)
    assert majority(mixed, Random(seed)) == before


@given(samples, st.integers())
def test_a_vote_is_one_of_the_most_common_choices(drawn: list[Sample], seed: int) -> None:
    answer = majority(drawn, Random(seed))
    votes = [s.choice for s in drawn if s.choice is not None]
    if not votes:
        assert answer == Answer(None)
        return
    assert votes.count(answer.choice) == max(votes.count(c) for c in votes)
    assert answer.agreement == votes.count(answer.choice) / len(votes)
    assert any(s.choice == answer.choice and s.text == answer.text for s in drawn)


def test_ties_are_broken_evenly() -> None:
    drawn = [Sample("a", "1"), Sample("b", "2")]
    picks = [majority(drawn, Random(seed)).choice for seed in range(400)]
    assert 140 < picks.count("1") < 260


@given(samples, st.randoms(use_true_random=False), st.integers())
def test_best_takes_the_highest_score_whatever_the_order(
    drawn: list[Sample], shuffle: Random, seed: int
) -> None:
    scores = [s.logprob for s in drawn]
    answer = top(drawn, scores, Random(seed))
    able = [s for s in drawn if s.choice is not None]
    if not able:
        assert answer == Answer(None)
        return
    highest = max(s.logprob for s in able if s.logprob is not None)
    assert any(s.logprob == highest and s.choice == answer.choice for s in able)
    mixed = list(drawn)
    shuffle.shuffle(mixed)
    assert top(mixed, [s.logprob for s in mixed], Random(seed)) == answer


def test_best_abstains_when_nothing_scores() -> None:
    drawn = [Sample("7", "7"), Sample("8", "8")]
    assert drive(plan("best:n=2").begin(QUESTION, Random(0)), drawn, [None, None]) == Answer(None)
    scored = drive(plan("best:n=2").begin(QUESTION, Random(0)), drawn, [None, 0.5])
    assert scored.choice == "8"


def test_direct_asks_for_the_answer_alone() -> None:
    (ask,) = next(plan("direct").begin(QUESTION, Random(0))).asks
    assert ask == Draw(n=1, prompt=QUESTION.direct)
    (ask,) = next(plan("think").begin(QUESTION, Random(0))).asks
    assert ask == Draw(n=1)


@pytest.mark.parametrize("name", names())
def test_every_strategy_ends_when_the_budget_is_spent(name: str) -> None:
    assert drive(plan(name).begin(QUESTION, Random(0)), [], [], final=True) == Answer(None)


def test_a_plan_is_read_from_text() -> None:
    assert plan("vote:n=8").parameters == {"n": 8}
    assert plan("best:by=checks", n=4).parameters == {"n": 4, "by": "checks"}
    assert plan("direct", n=4).parameters == {}
    assert str(plan("best:n=4,by=checks")) == "best:by=checks,n=4"


@pytest.mark.parametrize(
    "text", ["vote:n=0", "vote:n=x", "vote:n=-1", "vote:m=1", "vote:n", "direct:n=2", "vote:n=1e9"]
)
def test_a_bad_parameter_is_named(text: str) -> None:
    with pytest.raises(InputError, match=r"^strategy: "):
        plan(text)


@pytest.mark.parametrize("n", [0, -1])
def test_a_bad_default_is_named(n: int) -> None:
    with pytest.raises(InputError, match="vote:n"):
        plan("vote", n=n)


def test_an_unknown_strategy_gets_a_suggestion() -> None:
    with pytest.raises(UnknownName, match="vote"):
        plan("voting")
