"""The page of findings: its words follow from the figures, which are changed here."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from docs.findings_words import STEPS

from docs import findings_draws, findings_gains, findings_ladder, findings_page, findings_short


@pytest.fixture
def results() -> dict[str, Any]:
    """Copies of the committed results."""
    found = {name: findings_page.read(name) for name in ("coverage", "family", "gains", "guessing", "votes")}
    assert all(found.values())
    return copy.deepcopy(found)


def findings(results: dict[str, Any]) -> str:
    return findings_short.findings(*(results[name] for name in ("coverage", "family", "gains", "guessing")))


def finding(results: dict[str, Any], name: str) -> str:
    told = findings(results)
    return " ".join(told.split(f"**{name}.** ")[1].split("**")[0].split())


def test_each_finding_begins_with_what_it_means(results: dict[str, Any]) -> None:
    told = findings(results).split("\n")
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
    fits[0]["ceiling"] = {"fitted": True, "is_bound": True}
    assert "below a cap of" in finding(results, "Scaling law")
    fits[0]["ceiling"]["is_bound"] = False
    assert "below a ceiling of" in finding(results, "Scaling law")


def test_a_trend_has_no_coefficients_to_tell(results: dict[str, Any]) -> None:
    for fit in findings_ladder.told(results["family"]):
        fit["word"] = "trend"
    told = finding(results, "Scaling law")
    assert "so its coefficients are not told here" in told
    assert "logits more" not in told


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.2, 2.0, "None of the 2 rates differ surely from 10×"),
        (1.1, 2.0, "2 of the 2 rates differ surely from 10×"),
    ],
)
def test_a_rate_is_set_against_an_even_exchange(
    results: dict[str, Any], low: float, high: float, said: str
) -> None:
    for study in findings_ladder.told(results["family"]):
        study["levels"] = study["levels"][:2] if (study["task"], study["strategy"]) == (STEPS, "pass") else []
        for level in study["levels"]:
            level["measured"]["rate"] = {"value": 1.5, "low": low, "high": high}
            level["measured"]["without_one"] = [1.0, 2.0]
    told = finding(results, "Exchange rate")
    assert "worth 31.6× to 31.6× the inference" in told
    assert "(10× to 100× with one of them left out)" in told
    assert said in told


@pytest.mark.parametrize(
    ("verdict", "share", "said"),
    [
        ("more", 0.95, "surely worth more training: a vote of 256"),
        ("less", 0.95, "surely worth less: a vote of 256"),
        ("more", 0.94, "surely neither: a vote of 256"),
    ],
)
def test_a_gain_is_told_by_what_is_sure(
    results: dict[str, Any], verdict: str, share: float, said: str
) -> None:
    studies = [each for each in results["gains"]["studies"] if each["task"] == STEPS and "models" in each]
    results["gains"]["studies"] = studies[:1]
    for model in studies[0]["models"]:
        for beside in ("beside_equal", "beside_own"):
            for name in ("more", "less"):
                model[beside][name] = {"holds": name == verdict, "share": share if name == verdict else 0.0}
        model["above_all"] = {"holds": False, "share": 0.2}
    told = finding(results, "Compute-equivalent gain")
    assert f"{said}." in told
    assert "better than any plain model there is in 0 (0)" in told


def test_a_gain_that_turns_with_training_is_told_so(results: dict[str, Any]) -> None:
    studies = [each for each in results["gains"]["studies"] if each["task"] == STEPS and "models" in each]
    results["gains"]["studies"] = studies[:1]
    models = findings_gains.right_enough(studies[0])
    for at, model in enumerate(sorted(models, key=lambda each: each["training_flop"])):
        early = 3 * at < len(models)
        late = 3 * at >= 2 * len(models)
        model["beside_equal"] = {
            "more": {"holds": late, "share": float(late)},
            "less": {"holds": early, "share": float(early)},
        }
    told = finding(results, "Compute-equivalent gain")
    assert "surely worth less early and more late: a vote of 256." in told
    for model in models:
        verdicts = model["beside_equal"]
        verdicts["more"], verdicts["less"] = verdicts["less"], verdicts["more"]
    assert "surely neither: a vote of 256." in finding(results, "Compute-equivalent gain")


def test_curated_texts_are_told_by_size_and_tokens(results: dict[str, Any]) -> None:
    ends = {"better": (0.01, 0.03), "worse": (-0.03, -0.01), "open": (-0.01, 0.01)}

    def pair(size: float, tokens: float, one: str, many: str) -> dict[str, Any]:
        def beside(verdict: str) -> dict[str, Any]:
            low, high = ends[verdict]
            share = {"value": 0.5, "low": 0.4, "high": 0.6}
            more = {"value": (low + high) / 2, "low": low, "high": high}
            return {"curated": share, "plain": share, "more": more}

        told = {"one": beside(one), "any": beside(many)}
        return {"task": STEPS, "size": size, "tokens": tokens, "samples": 64, **told}

    results["gains"]["curated"] = [
        pair(28e3, 1e6, "worse", "better"),
        pair(28e3, 2e6, "worse", "open"),
        pair(154e3, 1e6, "better", "worse"),
    ]
    told = finding(results, "Compute-equivalent gain")
    assert (
        "one sample is surely better in 1 (154 thousand parameters after 1M tokens) and surely worse in 2 "
        "(28 thousand parameters after 1M and 2M tokens); any of 64 right is surely better in 1 "
    ) in told
    assert "at the end of training: one sample +2.0 [+1.0, +3.0] points, any of 64 right -2.0" in told


def test_larger_models_gain_more_only_where_all_comparisons_agree(results: dict[str, Any]) -> None:
    assert "depends on strategy, scale" in finding(results, "Interaction")
    for study in findings_ladder.told(results["family"]):
        for each in study["gains"]:
            each["measured"] = {"value": 0.2, "low": 0.1, "high": 0.3}
    told = finding(results, "Interaction")
    assert "larger models gain more from inference where it is sure" in told
    assert "points by seed)" in told
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
