"""Searches over steps, in small worlds whose best behaviour is known."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ponder.core import Answer, Draw, Finish, Prompt, Question, Reply, Sample, Score, Strategy, Wave
from ponder.strategies import plan
from ponder.strategies._search import (
    ROOT,
    Path,
    Search,
    fittest,
)
from ponder.strategies._tree import Node, mean_draw, uct_leaf, wider_or_deeper

QUESTION = Question("q", "?", Prompt((), "worked"), Prompt((), "direct"), stop=(".",), max_tokens=64)
SEARCHES = ("beam", "diverse_beam", "particles", "tree", "adaptive_tree")

World = Callable[[str], dict[str, float]]
"""What a model may write after a text: each step with its weight. A step that ends in "." ends the reply."""


@dataclass
class Played:
    """What a strategy asked, in order, and what it answered."""

    answer: Answer = field(default_factory=lambda: Answer(None))
    waves: list[Wave] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    @property
    def draws(self) -> list[Draw]:
        return [ask for wave in self.waves for ask in wave.asks if isinstance(ask, Draw)]

    def drawn_from(self, start: str) -> int:
        return sum(draw.n for draw in self.draws if draw.prefix.startswith(start))


def write(world: World, draw: Draw, rng: Random) -> Sample:
    """One sample as a driver would tell it: up to a line's end where the draw stops there, or to the end."""
    finish: Finish | None = None
    text, cap = "", draw.max_tokens or QUESTION.max_tokens
    while finish is None:
        steps = world(draw.prefix + text)
        step = rng.choices(list(steps), list(steps.values()))[0]
        text += step.removesuffix(".")
        if len(text.replace("\n", "")) >= cap:
            text, finish = text[:cap], "length"
        elif step.endswith("."):
            finish = "stop"
        elif draw.stop:
            finish = "step"
        else:
            text += "\n"
    choice = None if finish == "step" else (draw.prefix + text).replace("\n", "")
    return Sample(text, choice, tokens=len(text.replace("\n", "")), finish=finish)


def play(
    spec: str,
    world: World,
    score: Callable[[Sample], float | None],
    *,
    seed: int = 0,
    waves: int | None = None,
    question: Question = QUESTION,
) -> Played:
    """Serve a strategy from a world; after so many waves the budget is spent."""
    rng, played = Random(f"world/{seed}"), Played()
    asking: Strategy = plan(spec).begin(question, Random(seed))
    reply = None
    try:
        while True:
            wave = next(asking) if reply is None else asking.send(reply)
            played.waves.append(wave)
            samples, scores = [], []
            for ask in wave.asks:
                drawn = [write(world, ask, rng) for _ in range(ask.n)] if isinstance(ask, Draw) else []
                played.samples += drawn
                samples.append(tuple(drawn))
                scores.append(tuple(map(score, ask.samples)) if isinstance(ask, Score) else ())
            final = waves is not None and len(played.waves) >= waves
            reply = Reply(tuple(samples), tuple(scores), final=final)
    except StopIteration as end:
        played.answer = end.value
    return played


# ---------------------------------------------------------------- a lock that voting cannot open

CODE = "1212"


def lock(text: str) -> dict[str, float]:
    """Four digits, one a step; the model likes 0 best and each digit of the code one time in five."""
    end = "." if text.count("\n") == 3 else ""
    return {f"{digit}{end}": weight for digit, weight in (("0", 0.6), ("1", 0.2), ("2", 0.2))}


def opens(sample: Sample) -> float:
    """The share of the code's digits that are right before the first wrong one."""
    digits = sample.text.replace("\n", "")
    right = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(digits, CODE, strict=False))
    return sum(1 for _ in right) / len(CODE)


def blind(sample: Sample) -> float:
    return 0.5


@pytest.mark.parametrize(
    "spec",
    [
        "beam:n=32,width=16",
        "diverse_beam:n=32,width=16",
        "particles:n=64",
        "tree:n=256,width=8,exploration=0.5",
        "adaptive_tree:n=128",
    ],
)
def test_guidance_opens_the_lock_and_nothing_else_does(spec: str) -> None:
    guided = [play(spec, lock, opens, seed=seed) for seed in range(20)]
    unguided = [play(spec, lock, blind, seed=seed) for seed in range(20)]
    assert sum(p.answer.choice == CODE for p in guided) >= 13
    # One whole draw opens it one time in 625, so that few of so many draws would.
    assert sum(p.answer.choice == CODE for p in unguided) <= 3


def test_voting_does_not_open_the_lock() -> None:
    answers = [play("vote:n=64", lock, opens, seed=seed).answer.choice for seed in range(10)]
    assert Counter(answers).most_common(1) == [("0000", answers.count("0000"))]
    assert CODE not in answers


# ---------------------------------------------------------------- beams


def test_a_beam_search_keeps_n_over_width_of_n() -> None:
    played = play("beam:n=12,width=3", lock, opens)
    assert [type(wave.asks[0]) for wave in played.waves] == [Draw, Score] * 4
    first, *later = [wave for wave in played.waves if isinstance(wave.asks[0], Draw)]
    assert first.asks == (Draw(12, stop=("\n",)),)
    for level, wave in enumerate(later, 1):
        kept = [ask for ask in wave.asks if isinstance(ask, Draw)]
        assert len(kept) <= 4
        assert sum(draw.n for draw in kept) == 12
        # The best come first, and no other path of that level is right as far as the first one.
        assert kept[0].prefix == "".join(f"{digit}\n" for digit in CODE[:level])
        assert len({draw.prefix for draw in kept}) == len(kept)
        assert all(draw.max_tokens == 64 - level for draw in kept)


def test_the_trees_of_a_diverse_beam_do_not_compete() -> None:
    """One first step is far better than the rest; a beam drops all others, the trees keep their own."""

    def world(text: str) -> dict[str, float]:
        return {f"{letter}{'.' if text.count(chr(10)) == 2 else ''}": 1.0 for letter in "abcdefgh"}

    def score(sample: Sample) -> float:
        return 1.0 if sample.text.startswith("a") else (ord(sample.text[0]) - ord("a")) / 10

    beams = play("beam:n=32,width=32", world, score)
    assert {draw.prefix[:1] for draw in beams.draws[1:]} == {"a"}
    trees = play("diverse_beam:n=32,width=2", world, score)
    level = [wave for wave in trees.waves if isinstance(wave.asks[0], Draw)][1]
    starts = {ask.prefix for ask in level.asks if isinstance(ask, Draw)}
    assert len(starts) >= 3
    assert sum(ask.n for ask in level.asks if isinstance(ask, Draw)) == 32


def test_the_last_step_runs_on_to_the_end() -> None:
    played = play("beam:n=4,depth=2", lock, opens)
    assert [draw.stop for draw in played.draws[:1]] == [("\n",)]
    assert all(draw.stop == () for draw in played.draws[1:])
    assert len(played.waves) == 4


def test_an_empty_step_ends_a_path() -> None:
    """As of an engine that does not tell what stopped it: at the true end the next step is empty."""

    def world(text: str) -> dict[str, float]:
        return {"": 1.0} if text.count("\n") == 2 else {"x": 1.0}

    search = Search(QUESTION, "checks", "\n", 16)
    path = replace(ROOT, sample=Sample("x\nx", finish="step", tokens=3), steps=2)
    asking = search.extend([path], 1)
    next(asking)
    asking.send(Reply(((Sample("", "xx", tokens=1, finish="step"),),), ((),)))
    with pytest.raises(StopIteration) as end:
        asking.send(Reply(((),), ((0.5,),)))
    ((longer,),) = end.value.value
    assert (longer.text, longer.sample.choice, longer.unfinished) == ("x\nx", "xx", False)
    assert search.finished == [longer]


@pytest.mark.parametrize("name", SEARCHES)
def test_a_path_stays_within_the_questions_tokens(name: str) -> None:
    def endless(text: str) -> dict[str, float]:
        return {"abc": 1.0, "abcd": 1.0}

    question = replace(QUESTION, max_tokens=20)
    played = play(name, endless, blind, question=question)
    assert len(played.draws) > 1
    for draw in played.draws:
        spent = len(draw.prefix.replace("\n", ""))
        cap = question.max_tokens if draw.max_tokens is None else draw.max_tokens
        assert spent + cap == question.max_tokens


@pytest.mark.parametrize("name", SEARCHES)
def test_a_step_may_end_at_any_string(name: str) -> None:
    for spec, stop in ((name, "\n"), (f"{name}:step=;", ";"), (f"{name}:step=\\n\\n", "\n\n")):
        (ask,) = next(plan(spec).begin(QUESTION, Random(0))).asks
        assert isinstance(ask, Draw)
        assert ask.stop == (stop,)


@pytest.mark.parametrize("name", SEARCHES)
def test_scorers_of_probabilities_get_them(name: str) -> None:
    for by in ("likelihood", "confidence", "checks"):
        (ask,) = next(plan(f"{name}:by={by}").begin(QUESTION, Random(0))).asks
        assert isinstance(ask, Draw)
        assert ask.logprobs == (by != "checks")


# ---------------------------------------------------------------- trees


def grown(node: Node, text: str, scores: Sequence[float]) -> Node:
    child = node.child(Path(Sample(text, finish="step")))
    for score in scores:
        child.back_up(score)
    return child


def test_uct_takes_the_largest_upper_confidence_bound() -> None:
    root = Node()
    good, tried = grown(root, "good", [0.9] * 6), grown(root, "bad", [0.5] * 2)
    assert root.tries == 8
    # 0.9 + c sqrt(ln 8 / 6) against 0.5 + c sqrt(ln 8 / 2): equal at c = 0.4 / (1.0197 - 0.5887) = 0.928
    assert uct_leaf(root, 0.90, 99, Random(0)) is good
    assert uct_leaf(root, 0.96, 99, Random(0)) is tried
    deeper = grown(good, "good\nbetter", [1.0])
    assert good.tries == 7
    assert uct_leaf(root, 0.5, 99, Random(0)) is deeper
    deeper.path = replace(deeper.path, sample=replace(deeper.path.sample, finish="stop"))
    assert uct_leaf(root, 0.5, 99, Random(0)) is good  # no child can grow: it is expanded again


def test_a_node_is_expanded_anew_as_its_tries_grow() -> None:
    """At 0, 16, 36 and 64 tries, of four draws each."""
    root, at = Node(), list[int]()
    for tries in range(0, 100, 4):
        if uct_leaf(root, 0.0, 4, Random(0)) is root:
            at.append(tries)
        grown(root, "a", [0.5] * 4)
    assert at == [0, 16, 36, 64]


def test_uct_breaks_ties_evenly() -> None:
    root = Node()
    for text in "ab":
        grown(root, text, [0.5])
    assert 70 < sum(uct_leaf(root, 1.4, 99, Random(seed)).path.text == "a" for seed in range(200)) < 130


def two_arms(text: str) -> dict[str, float]:
    """Below "a" nine of ten ends are good, below "b" one of ten; the model cannot tell them apart."""
    if not text:
        return {"a": 1.0, "b": 1.0}
    if text.count("\n") < 3:
        return dict.fromkeys("uvwxyz", 1.0)
    good = 0.9 if text.startswith("a") else 0.1
    return {"+.": good, "-.": 1 - good}


def ends_well(sample: Sample) -> float:
    assert sample.finish == "stop"  # a tree of roll-outs asks for no score of an unfinished path
    return float(sample.text.endswith("+"))


def test_the_rollouts_concentrate_on_the_better_arm() -> None:
    for seed in range(5):
        played = play("tree:n=200,width=4,exploration=0.7", two_arms, ends_well, seed=seed)
        assert played.drawn_from("a") > 3 * played.drawn_from("b")
        assert played.drawn_from("b") > 0
        assert played.answer.choice is not None
        assert played.answer.choice.endswith("+")


def test_a_tree_makes_n_rollouts() -> None:
    played = play("tree:n=10,width=4", two_arms, ends_well)
    ends = [ask for wave in played.waves for ask in wave.asks if isinstance(ask, Score)]
    assert [len(ask.samples) for ask in ends] == [4, 4, 2]


def test_a_draw_of_the_mean_has_the_posteriors_moments() -> None:
    """Student's t with 1 + n degrees of freedom: mean n m / (1 + n), variance scale / kappa / (nu - 2)."""
    scores = [0.2, 0.4, 0.9] * 6
    n, mean = 18, 0.5
    scale = 0.1 + sum((s - mean) ** 2 for s in scores) + n / (n + 1) * mean**2
    rng = Random(1)
    draws = [mean_draw(scores, rng) for _ in range(40_000)]
    middle = math.fsum(draws) / len(draws)
    variance = math.fsum((x - middle) ** 2 for x in draws) / len(draws)
    assert middle == pytest.approx(n * mean / (n + 1), abs=0.003)
    assert variance == pytest.approx(scale / (n + 1) / (n + 1 - 2), rel=0.05)


def test_wider_where_new_children_do_better_and_deeper_where_descendants_do() -> None:
    def share(children: float, below: float) -> float:
        root = Node()
        for at in range(8):
            child = grown(root, str(at), [children])
            grown(child, f"{at}\nx", [below])
        return sum(wider_or_deeper(root, Random(seed)) is root for seed in range(300)) / 300

    assert share(0.9, 0.1) > 0.95
    assert share(0.1, 0.9) < 0.05
    assert 0.35 < share(0.5, 0.5) < 0.65


def letters(text: str) -> dict[str, float]:
    return {"".join(pair): 1.0 for pair in itertools.product("abcdefghij", repeat=2)}


def test_the_adaptive_tree_goes_deep_where_it_pays_and_wide_where_it_is_noise() -> None:
    def noise(sample: Sample) -> float:
        return Random(sample.text).random()

    def deeper_is_better(sample: Sample) -> float:
        return min(1.0, 0.15 * (1 + sample.text.count("\n")))

    def deeper_is_worse(sample: Sample) -> float:
        return 0.9 * 0.2 ** sample.text.count("\n")

    def at_the_root(score: Callable[[Sample], float]) -> float:
        spec = "adaptive_tree:n=60,wave=1"
        return (
            sum(
                sum(draw.n for draw in play(spec, letters, score, seed=seed).draws if not draw.prefix)
                for seed in range(12)
            )
            / 12
        )

    deep, flat, wide = at_the_root(deeper_is_better), at_the_root(noise), at_the_root(deeper_is_worse)
    assert deep < flat < wide
    assert deep < 15
    assert wide > 45


# ---------------------------------------------------------------- the answer


def ended(*told: tuple[str | None, float | None]) -> Search:
    search = Search(QUESTION, "checks", "\n", 4)
    search.finished = [Path(Sample(f"{i}", choice), score) for i, (choice, score) in enumerate(told)]
    return search


def test_the_best_finished_path_is_the_answer() -> None:
    assert ended(("a", 0.2), ("b", 0.9), ("a", 0.3)).answer(Random(0)).choice == "b"
    tied = ended(("a", 0.9), ("b", 0.9), ("b", 0.9), ("a", 0.1), ("a", 0.1)).answer(Random(0))
    assert tied.choice == "b"
    assert tied.agreement == 2 / 5
    assert tied.text == "1"
    assert ended(("a", None), ("b", None), ("b", None)).answer(Random(0)).choice == "b"
    assert ended((None, 1.0), ("a", 0.1)).answer(Random(0)).choice == "a"
    assert ended((None, 1.0)).answer(Random(0)) == ended().answer(Random(0)) == Answer(None)
    picks = Counter(ended(("a", 1.0), ("b", 1.0)).answer(Random(seed)).choice for seed in range(200))
    assert 70 < picks["a"] < 130


def test_the_fittest_are_different_and_unknown_comes_last() -> None:
    told = [Path(Sample(text), score) for text, score in (("a", 0.1), ("b", None), ("c", 0.9), ("c", 0.9))]
    assert [path.text for path in fittest(told, 4, Random(0))] == ["c", "a", "b"]
    assert fittest(told[::-1], 2, Random(0)) == fittest(told, 2, Random(0))


samples = st.builds(
    Sample,
    text=st.sampled_from(["", "a", "b", "a\nb", " "]),
    choice=st.sampled_from([None, "1", "2"]),
    tokens=st.none() | st.integers(0, 30),
    logprob=st.none() | st.floats(-9, 0),
    finish=st.sampled_from(["step", "stop", "length"]),
)
scores = st.none() | st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    "spec",
    [
        "beam:n=5,width=2",
        "diverse_beam:n=5,width=2",
        "particles:n=4",
        "tree:n=9",
        "adaptive_tree:n=9",
        "beam:n=1",
    ],
)
@settings(max_examples=60)
@given(data=st.data())
def test_whatever_is_told_a_search_ends_with_a_choice_that_was_drawn(spec: str, data: st.DataObject) -> None:
    by = data.draw(st.sampled_from(["checks", "likelihood"]))
    plans = [plan(f"{spec},depth=4,by={by}").begin(QUESTION, Random(3)) for _ in range(2)]
    asking, twin = plans
    wave: Wave | Answer = next(asking)
    same: Wave | Answer = next(twin)
    told: set[str | None] = {None}
    final = False
    for _ in range(60):
        assert isinstance(wave, Wave)
        assert wave == same  # the same replies and random numbers give the same asks
        assert not (final and any(isinstance(ask, Draw) for ask in wave.asks))
        drawn, values = [], []
        for ask in wave.asks:
            size = min(ask.n, 8) if isinstance(ask, Draw) else 0
            drawn.append(tuple(data.draw(st.lists(samples, max_size=size))))
            count = len(ask.samples) if isinstance(ask, Score) else 0
            values.append(tuple(data.draw(st.lists(scores, min_size=count, max_size=count))))
        told |= {sample.choice for group in drawn for sample in group}
        final = final or data.draw(st.booleans())
        reply = Reply(tuple(drawn), tuple(values), final=final)
        wave, same = sent(asking, reply), sent(twin, reply)
        if isinstance(wave, Answer):
            assert wave == same
            assert wave.choice in told
            return
    pytest.fail("the search went on asking")


def sent(asking: Strategy, reply: Reply) -> Wave | Answer:
    """The strategy's next wave, or its answer."""
    try:
        return asking.send(reply)
    except StopIteration as end:
        answer: Answer = end.value
        return answer


@pytest.mark.parametrize("name", SEARCHES)
def test_what_was_finished_when_the_budget_ends_is_the_answer(name: str) -> None:
    """Every step ends its path at once; the budget is spent with the first wave."""

    def world(text: str) -> dict[str, float]:
        return {"good.": 1.0, "bad.": 1.0}

    answers = Counter[str | None]()
    for seed in range(12):
        played = play(name, world, lambda sample: float(sample.text == "good"), waves=1, seed=seed)
        assert [type(wave.asks[0]) for wave in played.waves] == [Draw, Score]
        drawn = {sample.choice for sample in played.samples}
        assert played.answer.choice == ("good" if "good" in drawn else "bad")
        answers[played.answer.choice] += 1
    assert answers["good"] >= 6
