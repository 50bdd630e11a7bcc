"""The forms of the joint law, fitted to ladders that follow one of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from benchmarks.laws import forms
from scipy.special import expit

from docs import findings_forms
from ponder.errors import LawUndefined
from ponder.laws import Grid
from ponder.laws.joint import JointLaw
from ponder.laws.upward import forecast_up, split_up
from tests.laws.ladders import Truth, ladder, with_values

FORMS = {each.name: each for each in forms.FORMS}


def made(form: forms.Form, found: list[float], *, centred: float = 1.2) -> Grid:
    """A ladder that follows a form exactly; logs are less 5, 6 and `centred`."""
    grid = ladder(problems=3)
    n, d = np.log10(grid.size)[:, None] - 5.0, np.log10(grid.tokens)[:, None] - 6.0
    values = form.of(np.array(found), n, d, np.log10(grid.amounts)[None, :] - centred)
    return with_values(grid, np.broadcast_to(values, grid.values.shape).copy())


CASES = {
    "log-linear": [-0.5, 1.2, 0.9, 0.8, 0.2],
    "log-log": [-0.5, 0.6, 0.5, 0.4, 0.1],
    "Chinchilla": [2.0, 1.0, 0.4, 1.0, 0.8, 0.8, 0.1],
    "Chinchilla in tokens": [1.0, 0.8, 1.0, 0.8, 0.8, 0.1],
    "bounded tokens": [1.0, 0.8, 3.0, 0.2, 0.8, 0.1],
    "moving bound": [1.0, 0.8, 3.0, 0.2, -0.3, 0.8, 0.1],
    "bottleneck": [1.0, 0.8, 3.0, 0.2, -0.3, 0.8, 0.1],
    "emergence": [1.0, 0.8, 5.0, 0.2, -0.3, 0.8, 0.1],
    "ceiling of size": [0.0, 0.6, 2.0, 0.8, 0.1, 1.0, 0.5],
}


@pytest.mark.parametrize("name", CASES)
def test_a_form_finds_itself_and_foretells(name: str) -> None:
    grid = made(FORMS[name], CASES[name])
    known, held = split_up(grid)
    told = forms.fitted(FORMS[name], known, held)
    assert told == pytest.approx(held.values.mean(axis=0), abs=0.01)
    assert set(CASES) == set(FORMS)


def test_the_beta_binomial_form_is_the_law_of_coverage() -> None:
    """At a mean of m and a concentration of s, any of two is right with 1 - (1 - m)(1 - m·s/(s + 1) ...)."""
    mean, total = 0.2, 5.0
    q = np.array([np.log(mean / (1 - mean)), 0.0, 0.0, np.log(total), 0.0, 0.0, 1.0])
    zero = np.zeros((1, 1))
    told = forms.OF_SAMPLES.of(q, zero, zero, np.log10([[1.0, 2.0]]))
    wrong = (1 - mean) * total
    assert told[0] == pytest.approx([mean, 1 - wrong * (wrong + 1) / (total * (total + 1))])


@pytest.fixture(scope="module")
def levelling() -> Grid:
    return ladder(replace(Truth(), ceiling=0.4, level=1.0), problems=100, draws=16, seeds=2)


@pytest.fixture(scope="module")
def told(levelling: Grid) -> forms.Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "FORMS", forms.FORMS[:1])
        return forms.of_grid(levelling, "vote")


def test_the_log_linear_form_is_ponders_law(levelling: Grid, told: forms.Result) -> None:
    plain, bounded = (forecast_up(levelling, law).error for law in (JointLaw(ceiling=1.0), JointLaw()))
    own = {each["ceiling"]: each for each in told["forms"] if each["form"] == "log-linear"}
    assert own[False]["outer"] == pytest.approx(plain, abs=1e-4)
    assert own[True]["outer"] == pytest.approx(bounded, abs=1e-3)


def test_a_ceiling_is_no_lower_than_about_the_highest_mean() -> None:
    grid = made(FORMS["log-linear"].bounded(), [2.0, 1.2, 0.9, 0.8, 0.2, 0.3])
    told = forms.fitted(FORMS["log-linear"].bounded(), grid, grid)
    assert told == pytest.approx(grid.values.mean(axis=0), abs=1e-3)
    cut = with_values(grid, np.minimum(grid.values, 0.05) + 0.2 * expit(20 * (grid.values - 0.29)))
    assert forms.fitted(FORMS["log-linear"].bounded(), cut, cut).max() <= cut.values.max() + 0.05


def test_saying_that_nothing_changes_is_said_of_the_same_run_and_seed(
    levelling: Grid, told: forms.Result
) -> None:
    known, held = split_up(levelling)
    own = []
    for size, seed in zip(held.size, held.seeds, strict=True):
        same = [at for at in range(len(known.models)) if (known.size[at], known.seeds[at]) == (size, seed)]
        own.append(known.values.mean(axis=0)[same[int(np.argmax(known.tokens[same]))]])
    missed = np.array(own) - held.values.mean(axis=0)
    assert told["unchanged"]["outer"]["own last"] == pytest.approx(np.sqrt((missed**2).mean()))


def test_means_are_of_the_forms_that_every_row_has() -> None:
    def row(**inner: float) -> forms.Result:
        told = [
            {"form": name, "ceiling": False, "parameters": 5, "word": "law" if error < 0.05 else "trend"}
            | dict.fromkeys(("misses", "inner", "outer", "largest"), error)
            for name, error in inner.items()
        ]
        return {"forms": told, "chosen": {"form": min(inner, key=inner.__getitem__), "ceiling": False}}

    found = forms.summary([row(one=0.01, two=0.2), row(one=0.3, two=0.1, three=0.0)])
    assert [each["form"] for each in found] == ["one", "two"]
    assert found[0]["inner"] == pytest.approx(0.155)
    assert (found[0]["laws"], found[0]["chosen"], found[1]["chosen"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("with_ceiling", "said"),
    [
        (0.1, "A ceiling lowers the outer error of `t` vote (from 20.0 to 10.0, lower for 1 of 1 forms)."),
        (0.4, "A ceiling lowers the outer error of none, and raises that of `t` vote (from 20.0 to 40.0"),
        (0.2, "A ceiling lowers the outer error of none.\n"),
    ],
)
def test_the_page_says_what_a_ceiling_does(with_ceiling: float, said: str) -> None:
    told = [
        {"form": "log-linear", "ceiling": ceiling, "parameters": 5, "word": "trend"}
        | dict.fromkeys(("misses", "inner", "outer", "largest"), error)
        for ceiling, error in ((False, 0.2), (True, with_ceiling))
    ]
    same = {"best of the others": 0.3, "own last": 0.3}
    row = {
        "task": "t",
        "strategy": "vote",
        "forms": told,
        "unchanged": dict.fromkeys(("inner", "outer", "largest"), same),
        "chosen": {"form": "log-linear", "ceiling": True},
    }
    result = {"rows": [row], "means": forms.summary([row]), "unchanged": forms.unchanged([row])}
    assert said in findings_forms.forms_finding(result)
    table = findings_forms.forms_table(result)
    assert f"| log-linear | 5 / 5 | 20.0 / {100 * with_ceiling:.1f} |" in table
    assert "| nothing changes: own last | – | – | 30.0 | 30.0 | 30.0 | – |" in table


def test_a_ladder_of_one_checkpoint_has_no_forecast() -> None:
    grid = ladder(problems=3)
    with pytest.raises(LawUndefined, match=r"^models: none of synthetic is left"):
        forms.of_grid(grid.only(np.arange(20) == 0), "vote")
