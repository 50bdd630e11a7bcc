"""The ways to vote: their arithmetic, against enumeration where that is possible."""

from itertools import product
from math import comb, exp, inf, log
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import Answer, Budget, Draw, Model, Prompt, Question, Reply, Sample, Score, Strategy
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import InputError
from ponder.measure.replay import replay
from ponder.solve import Meter, Solver
from ponder.strategies import plan
from ponder.strategies._posterior import SEEN, UNSEEN, _beta_below_half, leader_wins, quickest
from ponder.strategies._steps import lowest_confidence, weighted
from ponder.verifiers import scorer, scorer_names

QUESTION = Question("q", "?", Prompt((), "worked"), Prompt((), "direct"), max_tokens=32)


def told(choice: str | None, index: int = 0, logprobs: tuple[float, ...] = (-0.1,) * 4) -> Sample:
    return Sample(f"is {choice}", choice, index, None, len(logprobs), sum(logprobs), logprobs)


def polya(votes: dict[str, int], urn: dict[str, float], remaining: int, rivals: str) -> float:
    """P(A leads all `rivals` in the end, half a win for a tie), by enumerating Polya's urn: every sequence of
    further draws, each ball put back with another of its kind. The urn holds pseudo-votes too."""
    won = 0.0
    start = dict(urn)
    for sequence in product(urn, repeat=remaining):
        balls, chance = dict(urn), 1.0
        for name in sequence:
            chance *= balls[name] / sum(balls.values())
            balls[name] += 1
        ends = {name: votes[name] + balls[name] - start[name] for name in rivals + "A"}
        best = max(ends[name] for name in rivals)
        won += chance * (1.0 if ends["A"] > best else 0.5 if ends["A"] == best else 0.0)
    return won


@pytest.mark.parametrize(("leader", "abstained", "remaining"), [(1, 0, 4), (2, 0, 5), (3, 2, 6), (4, 1, 5)])
def test_with_one_rival_it_is_exact(leader: int, abstained: int, remaining: int) -> None:
    """Seen: one answer. The urn has leader, unseen answers, and no answer at all."""
    votes = {"A": leader, "U": 0, "-": abstained}
    exact = polya(votes, {"A": leader + SEEN, "U": UNSEEN, "-": abstained + SEEN}, remaining, "U")
    assert leader_wins([leader], remaining, abstained=abstained) == pytest.approx(exact, abs=1e-9)


@settings(max_examples=60)
@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.integers(0, 4))
def test_over_several_rivals_it_is_a_lower_bound(pair: tuple[int, int], remaining: int) -> None:
    leader, rival = max(pair), min(pair)
    votes = {"A": leader, "B": rival, "U": 0, "-": 0}
    urn = {"A": leader + SEEN, "B": rival + SEEN, "U": UNSEEN, "-": SEEN}
    exact = polya(votes, urn, remaining, "BU")
    bound = leader_wins([leader, rival], remaining)
    assert exact - 0.25 <= bound <= exact + 1e-9


def test_certain_when_nothing_can_change() -> None:
    assert leader_wins([3, 1], 0) == 1
    assert leader_wins([5, 2], 2) == pytest.approx(1, abs=1e-9)
    assert leader_wins([2, 2], 0) == 0.5
    assert leader_wins([], 8) == 0


def test_very_many_further_draws_go_to_the_limit() -> None:
    for votes in ([4], [6, 2], [10, 9]):
        assert leader_wins(votes, 400) == pytest.approx(leader_wins(votes, 401), abs=0.01)
    binomial_tail = sum(comb(9, k) for k in range(3)) / 2**9  # P(Beta(7, 3) < 1/2), whole numbers
    assert _beta_below_half(7, 3) == pytest.approx(binomial_tail, abs=1e-9)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 9), max_size=4), st.integers(0, 30), st.sampled_from([0.8, 0.9, 0.99]))
def test_quickest_is_the_first_wave_that_can_settle(votes: list[int], remaining: int, bar: float) -> None:
    more = quickest(votes, remaining, bar)
    leader, *rivals = sorted(votes, reverse=True) or [0]

    def reached(wave: int) -> bool:
        counts = [leader + wave, *rivals] if leader + wave else []
        return leader_wins(counts, remaining - wave) >= bar

    assert 0 <= more <= remaining
    assert more == remaining or reached(more)
    assert not any(reached(fewer) for fewer in range(more))


def adaptive(choices: str, **parameters: float) -> tuple[Answer, int, tuple[int, ...]]:
    samples = [told(None if c == "-" else c, i) for i, c in enumerate(choices)]
    text = ",".join(f"{k}={v}" for k, v in parameters.items())
    done = replay(plan(f"adaptive_vote:{text}").begin(QUESTION, Random(0)), samples)
    return done.answer, len(done.samples), done.asks


def test_an_easy_vote_stops_early_and_a_split_one_goes_on() -> None:
    answer, drawn, asks = adaptive("A" * 64, n=64)
    assert (answer.choice, drawn, asks) == ("A", 3, (3,))
    answer, drawn, _ = adaptive("AB" * 32, n=64)
    assert (answer.choice in ("A", "B"), drawn) == (True, 64)
    assert adaptive("A" * 64, n=64, delta=0.01)[1] > 3
    assert adaptive("A" * 4, n=1)[1] == 1


def test_no_wave_is_longer_than_could_be_needed_and_no_answer_is_no_vote() -> None:
    answer, drawn, asks = adaptive("---" + "A" * 61, n=64)
    assert answer.choice == "A"
    assert drawn == sum(asks) < 64
    assert adaptive("-" * 64, n=64)[0] == Answer(None)


def test_its_claim_is_kept_over_draws_from_the_prior() -> None:
    """When votes do come from the prior, the leader at the stop loses the whole vote in at most delta."""
    rng, n, delta = Random(5), 32, 0.2
    lost = trials = 0
    for _ in range(400):
        gammas = [rng.gammavariate(SEEN, 1) for _ in range(3)]
        sequence = "".join(rng.choices("ABC", gammas, k=n))
        answer, drawn, _ = adaptive(sequence, n=n, delta=delta)
        whole = max("ABC", key=sequence.count)
        lost += sequence.count(answer.choice or "") < sequence.count(whole)
        trials += drawn < n
    assert trials > 200
    assert lost / 400 <= delta


async def test_a_longer_wave_is_cancelled_once_settled_and_counted() -> None:
    engine = ScriptedEngine.drawing({"Answer: 7": 1.0}, model=Model("m", "f"))
    question = Question("q", "?", Prompt((), "worked"), Prompt((), "direct"), extract="number", max_tokens=8)
    solution = await Solver({"solver": engine}).run(
        plan("adaptive_vote:n=64,wave=32"), question, Meter(Budget())
    )
    assert solution.answer.choice == "7"
    assert len(solution.samples) == 3
    assert solution.usage.calls == engine.calls  # what was in flight is counted


def test_weights_decide_and_nothing_without_weight_votes() -> None:
    samples = [told("A", 0), told("A", 1), told("B", 2), told(None, 3)]
    assert weighted(samples, [0.2, 0.2, 0.5, 9.0], Random(0)).choice == "B"
    assert weighted(samples, [0.3, 0.3, 0.5, None], Random(0)).choice == "A"
    assert weighted(samples, [None, 0.0, -1.0, None], Random(0)) == Answer(None)


def run(text: str, samples: list[Sample], scores: list[float | None] | None = None) -> Answer:
    by = {name: dict(zip(range(len(samples)), scores or [], strict=False)) for name in scorer_names()}
    return replay(plan(text).begin(QUESTION, Random(0)), samples, by).answer


def test_weighted_vote_by_likelihood_sums_probabilities() -> None:
    samples = [told("A", 0), told("A", 1), told("B", 2)]
    assert run("weighted_vote:n=3,by=likelihood", samples, [log(0.1), log(0.1), log(0.3)]).choice == "B"
    assert run("weighted_vote:n=3,by=checks", samples, [0.5, 0.5, 0.9]).choice == "A"


def test_confidence_is_the_least_certain_window() -> None:
    logprobs = (-0.1, -0.1, -2.0, -2.0, -0.1)
    assert lowest_confidence(logprobs, 2) == pytest.approx(-2.0)
    assert lowest_confidence(logprobs, 99) == pytest.approx(sum(logprobs) / 5)
    assert lowest_confidence((), 2) is None
    assert lowest_confidence(None, 2) is None


def test_uncertain_traces_are_dropped_before_the_vote() -> None:
    sure, unsure = (-0.05,) * 20, (-0.05,) * 10 + (-3.0,) * 10
    samples = [told("A", i, unsure) for i in range(5)] + [told("B", 5 + i, sure) for i in range(3)]
    assert run("vote:n=8", samples).choice == "A"
    assert run("confident_vote:n=8,keep=0.375,window=4", samples).choice == "B"
    assert run("confident_vote:n=5,keep=1,window=4", samples[:5]).choice == "A"


def served(strategy: Strategy, replies: list[list[Sample]]) -> tuple[Answer, list[Draw]]:
    """Serve draws from scripted replies; the halt of each is what a test looks at."""
    asked: list[Draw] = []
    try:
        wave = next(strategy)
        while True:
            (ask,) = wave.asks
            assert not isinstance(ask, Score)
            asked.append(ask)
            wave = strategy.send(Reply((tuple(replies[len(asked) - 1]),), ((),)))
    except StopIteration as end:
        return end.value, asked


def test_a_trace_is_halted_when_its_recent_confidence_falls_under_the_learned_bar() -> None:
    from ponder.core import Trace

    warm = [told("A", i, (-0.1 * (i + 1),) * 8) for i in range(4)]  # confidences -0.1, -0.2, -0.3, -0.4
    rest = [told("B", 4, (-1.0,) * 4), told("A", 5, (-0.1,) * 8)]
    strategy = plan("halting_vote:n=6,keep=0.5,window=4,warm=4").begin(QUESTION, Random(0))
    answer, (first, second) = served(strategy, [warm, rest])
    assert first.halt is None
    assert second.n == 2
    assert second.halt is not None
    assert not second.halt(Trace((1,) * 3, (-5.0,) * 3))  # too few tokens to tell
    assert second.halt(Trace((1,) * 4, (-0.21,) * 4))
    assert not second.halt(Trace((1,) * 4, (-0.19,) * 4))
    assert not second.halt(Trace((1,) * 6, (-9.0, -9.0, *(-0.1,) * 4)))  # only the recent ones count
    assert answer.choice == "A"
    assert answer.agreement == pytest.approx(1)  # the halted trace has no vote


def test_confidence_scores_do_not_fall_with_length() -> None:
    (short, long) = (told("A", 0, (-0.2,) * 2), told("A", 1, (-0.2,) * 40))
    scoring = scorer("confidence").score(QUESTION, (short, long, Sample("x")))
    with pytest.raises(StopIteration) as end:
        next(scoring)
    assert end.value.value == (pytest.approx(exp(-0.2)), pytest.approx(exp(-0.2)), None)
    assert -inf < log(exp(-0.2))


def with_chance(choice: str | None, chance: float, index: int, text: str | None = None) -> Sample:
    return Sample(text or f"is {choice}", choice, index, None, 1, log(chance), (log(chance),))


def test_probabilities_count_once_a_text_and_outweigh_heads() -> None:
    samples = [with_chance("A", 0.1, 0), with_chance("A", 0.1, 1), with_chance("A", 0.1, 2)]
    samples += [with_chance("B", 0.3, 3), with_chance("C", 0.05, 4)]
    assert run("vote:n=5", samples).choice == "A"
    assert run("probability_vote:n=5,first=5", samples).choice == "B"
    two_ways = [*samples, with_chance("A", 0.25, 5, "A in other words")]
    assert run("probability_vote:n=6,first=6", two_ways).choice == "A"


def test_it_stops_when_nothing_unseen_could_overturn_the_lead() -> None:
    def drawn(slack: float, chances: list[float]) -> int:
        samples = [with_chance("ABCDEFGH"[i], c, i) for i, c in enumerate(chances)]
        text = f"probability_vote:n={len(chances)},first=1,slack={slack}"
        return len(replay(plan(text).begin(QUESTION, Random(0)), samples).samples)

    assert drawn(1, [0.6, 0.1, 0.1]) == 1  # lead 0.6, unseen 0.4
    assert drawn(1, [0.4, 0.1, 0.1, 0.05]) == 4  # lead 0.3, unseen 0.4 after the third
    assert drawn(0.5, [0.4, 0.1, 0.1, 0.05]) == 1  # lead 0.4, half of 0.6


def test_improbable_texts_and_unknown_probabilities_are_counted_by_heads() -> None:
    long = [with_chance("A", 1e-9, 0, "a"), with_chance("A", 1e-9, 1, "b"), with_chance("B", 1e-7, 2, "c")]
    assert run("probability_vote:n=3", long).choice == "A"
    unknown = [Sample("a", "A", 0), Sample("b", "A", 1), Sample("c", "B", 2)]
    assert run("probability_vote:n=3", unknown).choice == "A"


def test_its_leader_is_the_models_likeliest_answer_more_often_than_a_votes() -> None:
    """Eight texts of four answers with known probabilities: how often eight draws name the likeliest."""
    rng = Random(3)
    named = {"vote": 0, "probability_vote": 0}
    for _ in range(300):
        weights = [rng.gammavariate(0.7, 1) for _ in range(8)]
        chances = [w / sum(weights) for w in weights]
        answer = "AABBCCDD"
        mass = {a: sum(c for c, b in zip(chances, answer, strict=True) if a == b) for a in "ABCD"}
        picks = rng.choices(range(8), chances, k=8)
        samples = [with_chance(answer[i], chances[i], place, f"text {i}") for place, i in enumerate(picks)]
        for name in named:
            text = f"{name}:n=8" + (",first=8" if name == "probability_vote" else "")
            named[name] += run(text, samples).choice == max(mass, key=lambda a: mass[a])
    assert named["probability_vote"] > named["vote"] + 20


def test_long_texts_keep_their_weight() -> None:
    samples = [told("A", 0), told("A", 1), told("B", 2)]
    assert run("weighted_vote:n=3,by=likelihood", samples, [-1000.0, -1001.0, -1001.0]).choice == "A"
    assert run("weighted_vote:n=3,by=likelihood", samples, [-1001.5, -1001.5, -1000.0]).choice == "B"


@pytest.mark.parametrize("text", ["halting_vote:keep=1.5", "adaptive_vote:delta=1.1", "cascade:threshold=2"])
def test_a_share_is_at_most_one(text: str) -> None:
    with pytest.raises(InputError, match="must be above 0 and at most 1, not"):
        plan(text)


def test_the_widest_shares_still_answer() -> None:
    assert adaptive("A" * 8, n=8, delta=1)[0].choice == "A"
    samples = [told("A", i) for i in range(6)]
    answer, _ = served(plan("halting_vote:n=6,keep=1").begin(QUESTION, Random(0)), [samples[:4], samples[4:]])
    assert answer.choice == "A"
