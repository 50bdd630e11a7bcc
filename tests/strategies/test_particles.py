"""Particles: their population is the model's distribution tilted by the scores; resampling is fair."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Draw, Sample
from ponder.strategies._search import ROOT, Path, log_step_weight, log_weight, resampled, worth
from tests.strategies.test_search import play


def chi_square(counts: Counter[str], expected: dict[str, float]) -> float:
    total = sum(expected.values())
    n = counts.total()
    assert set(counts) <= set(expected)
    return sum((counts[k] - n * e / total) ** 2 / (n * e / total) for k, e in expected.items())


REWARD = {"a": 0.9, "b": 0.3, "aa": 0.2, "ab": 0.8, "ba": 1.0, "bb": 0.5}


def coin(text: str) -> dict[str, float]:
    end = "." if text.count("\n") == 2 else ""
    return {f"a{end}": 0.3, f"b{end}": 0.7}


def rewarded(sample: Sample) -> float:
    return REWARD.get(sample.text.replace("\n", ""), 1.0)


def test_particles_follow_the_model_tilted_by_the_rewards() -> None:
    """After k steps the population stands for p(x) times the product of the rewards of its k steps."""
    chance = {"a": 0.3, "b": 0.7}
    once = {x: chance[x] * REWARD[x] for x in "ab"}
    twice = {x + y: once[x] * chance[y] * REWARD[x + y] for x, y in itertools.product("ab", repeat=2)}
    seen: dict[int, Counter[str]] = {1: Counter(), 2: Counter()}
    played = play("particles:n=6000", coin, rewarded)
    for draw in played.draws[1:]:
        seen[draw.prefix.count("\n")][draw.prefix.replace("\n", "")] += draw.n
    assert seen[1].total() == seen[2].total() == 6000
    # 99.9 % of a chi-square with 1 and 3 degrees of freedom; resampling twice adds to the variance.
    assert chi_square(seen[1], once) < 10.8
    assert chi_square(seen[2], twice) < 2 * 16.3
    # and the test could tell: the untilted model, and one tilted once, are far away
    assert chi_square(seen[2], {x + y: chance[x] * chance[y] for x in "ab" for y in "ab"}) > 300
    assert (
        chi_square(seen[2], {x + y: chance[x] * chance[y] * REWARD[x + y] for x in "ab" for y in "ab"}) > 300
    )


def test_a_finished_particle_is_weighed_once() -> None:
    """Half of them end at the first step (reward 0.5), the others go on (reward 0.25, then 0.1 a step)."""

    def world(text: str) -> dict[str, float]:
        return {"end.": 1.0, "on": 1.0} if not text else {"on": 1.0}

    def score(sample: Sample) -> float:
        return 0.5 if sample.finish == "stop" else 0.25 if sample.text == "on" else 0.1

    played = play("particles:n=6000,depth=4", world, score, waves=6)
    going = [sum(ask.n for ask in wave.asks if isinstance(ask, Draw)) for wave in played.waves[::2]]
    share = 0.25 / (0.25 + 0.5)
    assert going[0] == 6000
    assert going[1] / 6000 == pytest.approx(share, abs=0.02)
    assert going[2] / 6000 == pytest.approx(share * 0.1 / (share * 0.1 + 1 - share), abs=0.01)


def whole_path(by: str) -> Callable[[Sample], float]:
    """The same rewards of steps as `rewarded`, told as one score of the path."""
    together = {"likelihood": lambda steps: math.fsum(map(math.log, steps)), "process_product": math.prod}

    def score(sample: Sample) -> float:
        text = sample.text.replace("\n", "")
        return together[by]([REWARD.get(text[: n + 1], 1.0) for n in range(len(text))])

    return score


@pytest.mark.parametrize("by", ["likelihood", "process_product"])
def test_a_score_of_the_whole_path_counts_each_step_once(by: str) -> None:
    chance = {"a": 0.3, "b": 0.7}
    twice = {
        x + y: chance[x] * REWARD[x] * chance[y] * REWARD[x + y] for x, y in itertools.product("ab", repeat=2)
    }
    seen = Counter[str]()
    for draw in play(f"particles:n=6000,by={by}", coin, whole_path(by)).draws:
        if draw.prefix.count("\n") == 2:
            seen[draw.prefix.replace("\n", "")] += draw.n
    assert chi_square(seen, twice) < 2 * 16.3
    doubly = {xy: share * REWARD[xy[0]] for xy, share in twice.items()}
    assert chi_square(seen, doubly) > 300


@pytest.mark.parametrize("by", ["likelihood", "process_min", "process_product"])
def test_a_finished_particle_gains_nothing_while_the_others_go_on(by: str) -> None:
    """A first step of any kind has reward 0.1, all later ones 1: nothing sets the paths apart."""

    def world(text: str) -> dict[str, float]:
        return {"end.": 1.0, "on": 1.0} if not text else {"on": 1.0}

    score = math.log(0.1) if by == "likelihood" else 0.1
    played = play(f"particles:n=1000,depth=5,by={by}", world, lambda sample: score)
    going = [sum(ask.n for ask in wave.asks if isinstance(ask, Draw)) for wave in played.waves[::2]]
    assert going[0] == 1000
    assert 400 < going[1] < 600
    assert all(abs(n - going[1]) <= 1 for n in going[2:])


@given(st.lists(st.none() | st.floats(0.001, 1.0), min_size=1, max_size=6))
def test_the_factors_of_the_steps_multiply_to_the_paths_score(told: list[float | None]) -> None:
    paths = [ROOT, *(Path(Sample(str(at)), score) for at, score in enumerate(told))]
    weights = [log_step_weight(b, a, "process_product") for a, b in itertools.pairwise(paths)]
    known = [at for at, score in enumerate(told) if score is None]
    since = weights[known[-1] + 1 if known else 0 :]
    if told[-1] is None:
        assert weights[-1] == -math.inf
    else:
        assert math.exp(math.fsum(since)) == pytest.approx(told[-1])
    assert not any(map(math.isnan, weights))


paths = st.lists(st.text("abc", max_size=3), min_size=1, max_size=8).map(
    lambda texts: [Path(Sample(f"{i}{t}")) for i, t in enumerate(texts)]
)


@given(paths, st.data(), st.integers(1, 40), st.integers())
def test_systematic_resampling_rounds_each_share(
    population: list[Path], data: st.DataObject, n: int, seed: int
) -> None:
    weights = data.draw(st.lists(st.floats(-2000, 700), min_size=len(population), max_size=len(population)))
    drawn = resampled(population, weights, n, Random(seed))
    assert len(drawn) == n
    highest = max(weights)
    whole = math.fsum(math.exp(w - highest) for w in weights)
    for path, weight in zip(population, weights, strict=True):
        wanted = n * math.exp(weight - highest) / whole
        assert math.floor(wanted - 1e-6) <= drawn.count(path) <= math.ceil(wanted + 1e-6)


def test_resampling_is_unbiased_and_treats_no_information_as_none() -> None:
    population = [Path(Sample(text)) for text in "abc"]
    weights = [math.log(0.2), math.log(0.7), math.log(0.1)]
    mean = Counter[str]()
    for seed in range(4000):
        mean.update(path.text for path in resampled(population, weights, 3, Random(seed)))
    assert mean["a"] / 4000 == pytest.approx(0.6, abs=0.04)
    assert mean["b"] / 4000 == pytest.approx(2.1, abs=0.04)
    assert mean["c"] / 4000 == pytest.approx(0.3, abs=0.04)
    dead = resampled(population, [-math.inf] * 3, 3, Random(0))
    assert sorted(path.text for path in dead) == ["a", "b", "c"]
    assert resampled([], [], 3, Random(0)) == []


def test_weights_are_those_of_the_score() -> None:
    path = Path(Sample("a"), score=0.25)
    assert log_weight(path, "checks") == math.log(0.25)
    assert worth(path, "checks") == 0.25
    sure = Path(Sample("a"), score=-2.0)
    assert log_weight(sure, "likelihood") == -2.0
    assert worth(sure, "likelihood") == math.exp(-2.0)
    for score in (None, 0.0, -1.0):
        assert log_weight(Path(Sample("a"), score=score), "judge") == -math.inf
    assert worth(Path(Sample("a")), "judge") is worth(Path(Sample("a")), "likelihood") is None
