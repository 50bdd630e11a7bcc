"""The page of findings: its words follow from the figures, which are changed here."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from docs.findings_words import STEPS

from docs import findings_draws, findings_ladder, findings_page, findings_short


@pytest.fixture
def results() -> dict[str, Any]:
    """Copies of the committed results."""
    found = {name: findings_page.read(name) for name in ("coverage", "family", "gains", "votes")}
    assert all(found.values())
    return copy.deepcopy(found)


def finding(results: dict[str, Any], name: str) -> str:
    told = findings_short.findings(results["coverage"], results["family"], results["gains"])
    return " ".join(told.split(f"**{name}.** ")[1].split("**")[0].split())


def test_each_finding_begins_with_what_it_means(results: dict[str, Any]) -> None:
    told = findings_short.findings(results["coverage"], results["family"], results["gains"]).split("\n")
    heads = [line for line in told if not line.startswith("   - ")]
    assert [line.split("**")[1] for line in heads] == [
        "Scaling law.",
        "Exchange rate.",
        "Compute-equivalent gain.",
        "Interaction.",
    ]
    assert len(told) >= 2 * len(heads)
    assert "Unknown" not in "".join(told)


def test_a_fit_is_called_what_its_forecast_says(results: dict[str, Any]) -> None:
    fits = findings_ladder.told(results["family"])
    for fit in fits:
        fit["word"] = "trend"
    told = finding(results, "Scaling law")
    assert f"Of {len(fits)} joint fits of size, training and samples none may be called a law" in told
    fits[0]["word"] = "law"
    told = finding(results, "Scaling law")
    assert "samples 1 may be called a law" in told
    assert f"of most training: any right on `{fits[0]['task']}`. The others are trends." in told


@pytest.mark.parametrize(("low", "high", "said"), [(0.2, 2.0, "is open at 1 of 1"), (1.1, 2.0, "at 0 of 1")])
def test_a_rate_is_set_against_an_even_exchange(
    results: dict[str, Any], low: float, high: float, said: str
) -> None:
    for study in findings_ladder.told(results["family"]):
        study["levels"] = study["levels"][:1] if (study["task"], study["strategy"]) == (STEPS, "pass") else []
        for level in study["levels"]:
            level["measured"]["rate"] = {"value": 1.5, "low": low, "high": high}
    told = finding(results, "Exchange rate")
    assert "worth 31.6× to 31.6× the inference" in told
    assert said in told


@pytest.mark.parametrize(
    ("bounds", "said"),
    [((2.0, 3.0), "worth more training"), ((0.1, 0.5), "worth less are"), ((0.5, 2.0), "neither are")],
)
def test_a_gain_is_told_by_its_bounds(
    results: dict[str, Any], bounds: tuple[float, float], said: str
) -> None:
    studies = [each for each in results["gains"]["studies"] if each["task"] == STEPS and "models" in each]
    results["gains"]["studies"] = studies[:1]
    for model in studies[0]["models"]:
        model["at_least"], model["at_most"] = bounds
    told = finding(results, "Compute-equivalent gain")
    others = {"worth more training", "worth less are", "neither are"} - {said}
    assert said in told
    assert not any(each in told for each in others)
    assert "and in 0 better than any plain model there is" in told


def test_larger_models_gain_more_only_where_all_comparisons_agree(results: dict[str, Any]) -> None:
    assert "depends on strategy, scale" in finding(results, "Interaction")
    for study in findings_ladder.told(results["family"]):
        for each in study["gains"]:
            each["measured"] = {"value": 0.2, "low": 0.1, "high": 0.3}
    told = finding(results, "Interaction")
    assert "larger models gain more from inference where it is sure" in told
    gains = [each for study in findings_ladder.told(results["family"]) for each in study["gains"]]
    assert len(gains) == sum(int(part.split(" of ")[1].split(";")[0].rstrip(".")) for part in _counts(told))


def _counts(told: str) -> list[str]:
    """`reasoning 4, 0 of 8`, and so on."""
    return told.split("surely gain more, surely less: ")[1].split("; ")


def test_a_vote_that_is_never_right_does_not_fall(results: dict[str, Any]) -> None:
    able = [row for row in results["votes"]["sources"] if row["group"] == "ladder" and "laws" in row]
    for row in able:
        row["one"] = {"value": 1e-4, "low": 0.0, "high": 1e-3}
        row["falls"] = 1.0
    able[0]["one"] = {"value": 0.2, "low": 0.1, "high": 0.3}
    told = findings_draws.votes_finding(results["votes"]).split("\n")[0]
    assert "Of the 1 that are right one time in a hundred" in told
    assert "in 1, surely does not in 0" in told


def test_the_claimed_tenfold_is_told_where_it_is_reached() -> None:
    rows = [
        {"a": 1.0, "b": 100.0, "problems": 500, "times_lower": 15.5},
        {"a": 0.3, "b": 3.0, "problems": 500, "times_lower": 2.27},
    ]
    told = findings_draws.far_finding({"far_forecast": rows})
    assert "for Beta(1, 100), 500 problems (15.5); not for Beta(0.3, 3), 500 problems (2.27)" in told
    assert findings_draws.far_finding(None) == ""
