"""Choosing by predicted difficulty, on made-up banks whose best choice is known."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ponder.api import measure_tasks
from ponder.config import Settings
from ponder.core import Message, Prompt, Question
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import InputError, UnknownName
from ponder.ledger import Ledger
from ponder.measure.choose import Bins, choose, cross_fit, fit
from ponder.measure.choose import _table as table_of
from ponder.measure.stored import StoredBank, load_banks

PROMPT = Prompt((Message("user", "q"),))


def bank(right: list[float], *, n: int = 32, seed: int = 0, prompt: float = 0.0) -> StoredBank:
    """A problem for each chance of the right answer, 0; what is wrong is spread evenly over ten others."""
    rng = np.random.default_rng(seed)
    chance = np.array(right)[:, None]
    wrong = rng.integers(1, 11, (len(right), n))
    choice = np.where(rng.random((len(right), n)) < chance, 0, wrong)
    return StoredBank(
        "made",
        tuple(Question(f"q{i}", "q", PROMPT, PROMPT, max_tokens=20) for i in range(len(right))),
        choice,
        choice == 0,
        np.full(choice.shape, 10.0),
        np.full(choice.shape, np.nan),
        np.full(len(right), prompt),
        64,
    )


BIMODAL = [0.97] * 100 + [0.3] * 100


def test_where_difficulty_is_bimodal_the_choice_beats_every_fixed_policy() -> None:
    found = choose([bank(BIMODAL)], bins=3, prompts="cached", rng=np.random.default_rng(1))
    best = max(found.points, key=lambda point: point.gain[0])
    assert best.gain[1] > 0.01
    few, *_, many = (int(name.removeprefix("vote:n=")) for name in (best.by_bin[-1], best.by_bin[0]))
    assert few < many


def test_where_all_problems_are_alike_the_choice_equals_the_fixed_policy() -> None:
    # Unanimous, and right or wrong by a coin: chance alone would make some votes look clearer than others.
    alike = bank([1.0] * 200)
    right = np.random.default_rng(5).random(200) < 0.5
    alike = replace(alike, correct=np.repeat(right[:, None], alike.choice.shape[1], axis=1))
    found = choose([alike], bins=3, prompts="cached", rng=np.random.default_rng(1))
    assert [point.gain[0] for point in found.points] == pytest.approx([0.0] * len(found.points))


def test_a_look_that_does_not_pay_is_not_taken() -> None:
    found = choose([bank([0.35] * 200, prompt=500.0)], bins=3, prompts="read", rng=np.random.default_rng(1))
    assert all(abs(point.gain[0]) < 0.02 for point in found.points)
    assert max(abs(p.chosen_tokens - p.fixed_tokens) for p in found.points) < 0.05 * found.points[-1].budget


def test_budgets_are_kept_in_the_mean() -> None:
    found = choose([bank(BIMODAL)], prompts="cached", rng=np.random.default_rng(1))
    for point in found.points:
        assert point.chosen_tokens <= 1.05 * point.budget
        assert point.fixed_tokens <= 1.05 * point.budget


def test_the_keys_of_the_judged_half_change_no_choice() -> None:
    half = np.random.default_rng(2).random(200) < 0.5
    grid = np.array([50.0, 100.0, 200.0])

    def tokens(correct: NDArray[np.bool_]) -> tuple[NDArray[np.float64], ...]:
        """What the choices cost, which the keys change through the choices alone."""
        table = table_of(
            [replace(bank(BIMODAL), correct=correct)], 4, 32, "cached", 4, np.random.default_rng(3)
        )
        return tuple(found[1] for found in cross_fit(table, half, grid, 3))

    right = bank(BIMODAL).correct
    inverted = right.copy()
    inverted[half] = ~right[half]
    for kept, changed in zip(tokens(right), tokens(inverted), strict=True):
        assert (kept[half] == changed[half]).all()
        # The keys of the half that is learned from do matter.
        assert (kept[~half] != changed[~half]).any()


def test_keys_without_a_pattern_gain_nothing() -> None:
    # Learned from the problems that are judged, the choice would find some in chance.
    gains = []
    for seed in range(8):
        noise = np.random.default_rng(seed)
        made = bank([0.35] * 48, n=16, seed=seed)
        made = replace(made, correct=noise.random(made.choice.shape) < 0.5)
        found = choose([made], bins=5, prompts="cached", orders=2, rng=noise)
        gains.append(np.mean([point.gain[0] for point in found.points]))
    assert np.mean(gains) < 0.012


def test_the_cost_of_the_look_is_counted() -> None:
    table = table_of([bank([0.5] * 40, prompt=100.0)], 4, 32, "read", 2, np.random.default_rng(0))
    spent = dict(zip(table.names, table.spent[0, 0], strict=True))
    plain = dict(zip(table.names, table.plain[0, 0], strict=True))
    assert spent["vote:n=1"] == 100 + 4 * 10
    assert plain["vote:n=1"] == 100 + 10
    assert spent["vote:n=8"] == 2 * 100 + 8 * 10  # the prompt is read again
    assert plain["vote:n=8"] == 100 + 8 * 10


def test_shares_of_every_problem_add_up_to_one() -> None:
    table = table_of([bank(BIMODAL)], 4, 32, "cached", 2, np.random.default_rng(0))
    policies = fit(table, np.geomspace(1, 1000, 9), 4)
    for part in (policies.binned, policies.fixed):
        assert isinstance(part, Bins)
        shares = part.decide(table.features)
        assert np.allclose(shares.sum(axis=-1), 1.0)
        assert (shares >= -1e-12).all()


def test_too_little_is_refused_in_one_sentence() -> None:
    with pytest.raises(InputError, match="10 problems are too few"):
        choose([bank([0.5] * 10)], rng=np.random.default_rng(0))
    with pytest.raises(InputError, match="4 samples a problem are too few"):
        choose([bank([0.5] * 80, n=4)], rng=np.random.default_rng(0))


# ---------------------------------------------------------------- a run on the ledger


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(ledger=str(tmp_path / "ledger.sqlite"), reports=tmp_path / "reports")


def test_a_bank_is_read_back_as_it_was_measured(settings: Settings) -> None:
    engine = ScriptedEngine.drawing({"so 3": 3.0, "so 4": 1.0})
    measured = measure_tasks(
        "countdown", samples=4, problems=3, strategies=["vote", "direct"], engine=engine, settings=settings
    )
    with Ledger.open(settings.ledger, write=False) as ledger:
        (found,) = load_banks(ledger, measured.run)
        with pytest.raises(UnknownName, match="lcm"):
            load_banks(ledger, measured.run, ["lcm"])
    assert found.choice.shape == (3, 4)
    assert found.task == "countdown"
    assert (found.tokens > 0).all()
    assert (found.prompt_tokens > 0).all()
    assert found.direct is not None
    vote = next(curve for curve in measured.tasks[0].curves if curve.strategy == "vote")
    assert found.correct.mean() == pytest.approx(vote.points[0].accuracy)


def test_a_run_that_is_no_measurement_is_refused(settings: Settings) -> None:
    with Ledger.open(settings.ledger, write=True) as ledger:
        ledger.run("other", {"kind": "ask"}, [])
        with pytest.raises(InputError, match="no measurement"):
            load_banks(ledger, "other")
