"""The laws applied to recordings: figures, parts, and the page that is made of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.laws import __main__ as laws
from benchmarks.laws import chains, draws, figures, forms, gains, sources, verified
from benchmarks.peers import bank
from benchmarks.peers.table import grading

from docs import findings_page
from ponder.laws import Verified
from ponder.laws.ladder import Ladder, read
from ponder.train.recorded import load, save
from tests.benchmarks.conftest import MakeBank
from tests.laws.populations import beta
from tests.laws.recordings import write_ladder

LONG = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic ladder, and its largest size once more as if it had learnt search traces: right where the
    plain checkpoint is, in chains of so many times the tokens."""
    place = tmp_path_factory.mktemp("ladder")
    write_ladder(place)
    for path in sorted(place.glob("154k-steps-random*")):
        plain = load(path)
        name = plain.name.replace("-steps-", "-search-")
        about = {**plain.about, "name": name, "task": sources.SEARCH}
        tallies = [
            replace(
                tally,
                id=tally.id.replace(sources.STEPS, sources.SEARCH),
                lengths_right=_longer(tally.lengths_right),
                lengths_wrong=_longer(tally.lengths_wrong),
            )
            for tally in plain.tallies
        ]
        save(place / f"{name.replace('/', '-')}.jsonl.xz", about, tallies)
    return place


def _longer(lengths: Mapping[int, int]) -> dict[int, int]:
    return {LONG * tokens: count for tokens, count in lengths.items()}


@pytest.fixture(scope="module")
def ladder(folder: Path) -> Ladder:
    return read(folder)


# ---------------------------------------------------------------- figures


def test_a_median_is_resampled_by_runs() -> None:
    assert figures.median([], []) is None
    assert figures.median([1.0, 2.0, 9.0], ["one"] * 3) == {"value": 2.0, "low": None, "high": None}
    found = figures.median([1.0, 1.0, 1.0, 5.0], ["a", "a", "a", "b"])
    # Whole runs are drawn: "b" alone in a quarter of the resamples.
    assert found == {"value": 1.0, "low": 1.0, "high": 5.0}


def test_a_difference_is_paired() -> None:
    one = np.tile([0.0, 1.0], 50)
    found = figures.difference(one, one)
    assert found["value"] == pytest.approx(0.0)
    assert found["high"] - found["low"] < 0.05
    better = figures.difference(np.ones(100), np.zeros(100))
    assert better["value"] == pytest.approx(1.0)


def test_results_hold_finite_numbers_alone() -> None:
    assert figures.rounded({"a": [1.23456789, None, "x", (2,)]}) == {"a": [1.2346, None, "x", [2]]}
    with pytest.raises(ValueError, match="nan"):
        figures.rounded([float("nan")])


# ---------------------------------------------------------------- sources


def test_the_bank_is_graded_answer_by_answer(banked: MakeBank) -> None:
    problems = [
        banked(["8", "9", "8", None], key="8", name="sum/0"),
        banked(["7", "7", "1", "1"], key="9", name="sum/1"),
        banked(["2", "2", "2", "2"], key="2", name="lcm/0", task="lcm"),
    ]
    first, second = sources.embedded(problems)
    assert (first.counts.task, second.counts.task) == ("chain_sum", "lcm")
    assert first.counts.right.tolist() == [2, 0]
    assert second.counts.right.tolist() == [4]
    assert first.counts.ballots is not None
    assert dict(zip(first.counts.ballots[0].given.tolist(), first.counts.ballots[0].right, strict=True)) == {
        2: True,
        1: False,
    }


def test_recordings_are_told_by_task_and_training(ladder: Ladder) -> None:
    found = sources.of_ladder(ladder.recordings)
    assert found[-1].counts.name == "154k-search-random-0/4"
    assert {each.run for each in found} >= {"8k-steps-random-0", "28k-steps-random-0"}


# ---------------------------------------------------------------- draws


def _source(name: str, seed: int, *, a: float = 0.3, b: float = 3.0, many: int = 400) -> sources.Source:
    counts = beta(np.random.default_rng(seed), a, b, problems=150, draws=many)
    return sources.Source("ladder", name, replace(counts, name=name, task=sources.STEPS))


def test_the_true_law_forecasts_better_than_the_baseline() -> None:
    told = draws.coverage([_source(f"run{seed}", seed) for seed in range(4)], draws=60)
    whole = next(each for each in told["groups"] if each["part"] == "all")
    assert (whole["sources"], whole["samples"], whole["fitted_to"]) == (4, 368, [32])
    assert whole["laws"]["beta-binomial"]["times_lower"]["value"] > 1.0
    assert whole["laws"][draws.BASELINE]["times_lower"]["value"] == 1.0
    assert sum(law["best"] for law in whole["laws"].values()) == 4
    assert all(row["seen"]["value"] > 0.5 for row in told["sources"])
    assert [each["part"] for each in told["groups"]] == ["all"]  # there is nothing to tell apart


def test_a_source_without_a_law_says_why() -> None:
    silent = _source("silent", 0)
    silent = replace(silent, counts=replace(silent.counts, right=np.zeros(150, dtype=np.int64)))
    (row,) = draws.coverage([silent], draws=20)["sources"]
    assert "no draw is right" in row["undefined"]


def test_votes_tell_limit_and_change(ladder: Ladder) -> None:
    own = [each for each in ladder.recordings if each.name.startswith("154k-steps-random")]
    found = draws.votes(sources.of_ladder(own), draws=60)["sources"][-1]
    assert found["all"]["value"] - found["one"]["value"] == pytest.approx(found["change"]["value"])
    assert found["limit"]["low"] <= found["limit"]["value"] <= found["limit"]["high"]


# ---------------------------------------------------------------- gains


def test_search_traces_are_compared_on_the_same_problems(ladder: Ladder) -> None:
    found = gains.search_study(ladder, draws=100)
    assert [row.model for row in found.rows] == [f"154k-search-random-0/{n}" for n in (1, 2, 3, 4)]
    plain = next(each for each in ladder.recordings if each.name == "154k-steps-random-0/4")
    assert found.rows[-1].enhanced.value == pytest.approx(plain.right.mean() / plain.draws)
    # Three times the tokens after the same prompt, beside a plain sample of the same size.
    assert 2.0 < found.rows[-1].inference_ratio < LONG
    # The same scores after the same training are worth about once that training.
    assert found.rows[-1].gain is not None
    assert found.rows[-1].gain.low <= 1.0 <= (found.rows[-1].gain.high or np.inf)


def test_curated_texts_are_compared_with_plain_ones_of_the_same_checkpoint(tmp_path: Path) -> None:
    write_ladder(tmp_path, curated=10.0)
    ladder = read(tmp_path)
    rows = gains.curated(ladder, sources.STEPS)
    assert len(rows) == 12
    assert [(row["size"], row["tokens"]) for row in rows] == sorted(
        (row["size"], row["tokens"]) for row in rows
    )
    by_name = {each.name: each for each in ladder.recordings}
    for row in rows:
        assert row["plain"] == row["model"].replace("curated", "random")
        for name, amount in (("one", 1), ("any", 16)):
            one, other = (by_name[row[each]].passed([amount]) for each in ("model", "plain"))
            more = row[name]["more"]
            assert more["value"] == pytest.approx(float((one - other).mean()))
            assert more["low"] <= more["value"] <= more["high"]
        # Ten times the training is a logit.
        assert row["one"]["more"]["low"] > 0.0


def test_without_curated_texts_there_are_no_pairs(ladder: Ladder) -> None:
    assert gains.curated(ladder, sources.STEPS) == []
    assert gains.curated(ladder, "char_facts:given=true") == []


def test_a_campaigns_score_is_read_off_the_frontier(ladder: Ladder, tmp_path: Path) -> None:
    study = gains.studies(ladder, draws=100)
    worth = study[sources.STEPS, "vote"]
    assert isinstance(worth, gains.WorthStudy)
    assert worth.frontier.curve is not None
    place = 30
    began = next(each for each in ladder.recordings if each.name == "28k-steps-random-0/1")
    wanted = float(worth.frontier.curve[place])
    _write_rl(tmp_path, began.name, wanted, flop=began.training_flop or 0.0)
    narrow, broad = gains.campaigns(ladder, study, tmp_path)
    assert narrow["training_flop"] == 2.0 * (began.training_flop or 0.0)
    assert narrow["gain"]["value"] == pytest.approx(worth.frontier.places[place] / narrow["training_flop"])
    assert narrow["gain"]["low"] is None or narrow["gain"]["low"] <= narrow["gain"]["value"]
    assert broad["breadth"] == "broad"
    assert broad["score"]["value"] == pytest.approx(float(began.passed([1]).mean()) + 0.125)


def _write_rl(folder: Path, began: str, score: float, *, flop: float) -> None:
    estimate = {"value": score, "low": score - 0.02, "high": score + 0.02}
    change = {"value": 0.125, "low": 0.1, "high": 0.15}
    told = {
        "task": sources.STEPS,
        "began_with": began,
        "arms": {"GRPO": {"points": [{"flop": 0.0}, {"flop": flop, "passed": {"1": estimate}}]}},
        "gains": [{"name": "GRPO", "tasks": {sources.STEPS: change}}],
    }
    (folder / "rl.json").write_text(json.dumps(told), "utf-8")


# ---------------------------------------------------------------- chains


def test_samples_cost_what_the_chain_costs(ladder: Ladder) -> None:
    rows = chains.chains(ladder, chains.ways(ladder, draws=50))["checkpoints"]
    assert [row["search"] for row in rows] == [f"154k-search-random-0/{n}" for n in (1, 2, 3, 4)]
    row = rows[-1]
    plain = next(each for each in ladder.recordings if each.name == row["steps"])
    samples = row["samples_at_equal_flop"]
    assert 2.0 < samples < LONG + 1.0
    bought = np.interp(samples, [1, 16], plain.flop([1, 16]).mean(axis=0))
    assert bought == pytest.approx(row["chain"]["inference_flop"])
    # One chain is as good as one plain sample here, and any of several is better than one.
    assert row["pass"]["chain_less_it"]["high"] < 0.0
    inner = np.interp(samples, [2, 3, 4], plain.passed([2, 3, 4]).mean(axis=0))
    assert row["pass"]["accuracy"]["value"] == pytest.approx(inner)


# ---------------------------------------------------------------- the whole, and its page


@pytest.fixture
def results(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, banked: MakeBank) -> Path:
    """Results of the synthetic ladder and of no bank."""
    monkeypatch.setattr(laws, "embedded", list)
    monkeypatch.setattr(gains, "RESULTS", tmp_path)
    monkeypatch.setattr(draws, "_SPLITS", 1)
    monkeypatch.setattr(forms, "FORMS", forms.FORMS[:1])
    laws.main(["--ladder", str(folder), "--out", str(tmp_path), "--draws", "40"])
    monkeypatch.setattr(findings_page, "LAWS", tmp_path)
    return tmp_path


@pytest.mark.slow
def test_one_command_makes_results_pictures_and_the_page(results: Path) -> None:
    assert {each.stem for each in results.glob("*.json")} == set(laws.PARTS)
    assert {each.stem for each in results.glob("*.svg")} == {"coverage", "exchange", "worth", "chains"}
    text = findings_page.findings_page()
    assert "{{" not in text
    assert "`char_facts:given=true`" in text.split("Not recorded:")[1].split(".\n")[0]
    for number in range(1, 9):
        assert f"\n## {number}. " in text
    family = json.loads((results / "family.json").read_text("utf-8"))
    level = next(each for each in family["studies"] if "law" in each)["levels"][0]
    assert f"{100 * level['accuracy']:.1f}" in text


def test_a_page_without_results_says_how_to_make_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(findings_page, "LAWS", tmp_path)
    monkeypatch.setattr(findings_page, "BENCHMARKS", tmp_path)
    text = findings_page.findings_page()
    assert text.count("`make laws` writes it") > 10
    assert "{{" not in text


def _group(times_lower: dict[str, float | None]) -> dict[str, Any]:
    law = {
        "defined": 5, "best": 5, "passed": 4, "too_high": 3, "too_low": 1,
        "median_error": {"value": 0.1, "low": 0.05, "high": 0.2}, "times_lower": times_lower,
    }  # fmt: skip
    head = {"group": "ladder", "task": "t", "part": "all", "fitted_to": [32], "samples": 224, "sources": 5}
    return head | {"laws": {"beta-binomial": law, draws.BASELINE: law}}


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [(1.5, 4.0, "is better than"), (0.2, 0.8, "is worse than"), (0.5, 2.0, "not surely other")],
)
def test_numbers_choose_the_words(low: float, high: float, said: str) -> None:
    group = _group({"value": (low + high) / 2.0, "low": low, "high": high})
    told = findings_page.by_draws.coverage_finding(
        {"baseline": draws.BASELINE, "groups": [group], "sources": []}
    )
    assert said in told
    assert "surely too high in 3 and surely too low in 1 of 5 trials" in told


# ---------------------------------------------------------------- best-of-N


def test_the_best_of_n_is_that_of_the_banks_own_scores() -> None:
    own = [each for each in bank.load() if each.question.task == "products"][:20]
    found = verified.verified(own, draws=20)
    assert [row["scorer"] for row in found["rows"]] == list(verified.SCORERS)
    right = grading()
    by_likelihood = [
        max((s for s in each.samples if s.choice is not None), key=lambda s: s.logprob or 0.0) for each in own
    ]
    picked = np.mean([right(each, one.text) for each, one in zip(own, by_likelihood, strict=True)])
    (first, _) = found["rows"]
    # Scores in one of the sixteen levels are taken to be equal.
    assert first["best"]["value"] == pytest.approx(picked, abs=0.15)
    assert first["change"]["value"] == pytest.approx(first["best"]["value"] - first["one"]["value"])


def test_an_area_under_a_roc_curve_is_the_chance_of_the_higher_score() -> None:
    right, wrong = np.array([[0, 2, 2], [4, 0, 0]]), np.array([[3, 1, 0], [0, 0, 0]])
    data = Verified("v", right, wrong)
    # The right score at levels 2 and 3, a quarter of the wrong at 2: (1/2)(3/4 + 1/8) + (1/2)(1).
    assert verified.within(data).tolist() == pytest.approx([0.9375])
    pooled = np.concatenate([right.sum(axis=0) / 8, wrong.sum(axis=0) / 4])
    assert verified.curve_under(pooled[None])[0] == pytest.approx(0.5 * 0.375 + 0.25 * 0.875 + 0.25)
