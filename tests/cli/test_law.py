"""`ponder law fit` and `ponder law forecast` as a user meets them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tests.laws.recordings import write_ladder

from ponder.api import measure_tasks
from ponder.cli import law_compute, law_ladder
from ponder.config import Settings
from ponder.core import Shape
from ponder.engines.scripted import ScriptedEngine
from ponder.laws import Counts
from ponder.measure.intervals import Estimate
from ponder.train.recorded import Tally, load, save

Run = Callable[..., tuple[int, str, str]]
SHAPE = Shape(layers=2, d_model=32, heads=2, kv_heads=2, d_head=16, d_ff=64, vocab=54, tied=True)


def tally(identity: str, given: dict[str, int], silent: int) -> Tally:
    """Draws of which "a" is right, of five tokens where right and of seven where not."""
    right, draws = given.get("a", 0), sum(given.values()) + silent
    return Tally(
        id=identity,
        prompt_tokens=8,
        draws=draws,
        right=right,
        silent=silent,
        ungraded=0,
        cut=0,
        choices={name: (count, name == "a") for name, count in given.items() if count},
        lengths_right={5: right},
        lengths_wrong={7: draws - right},
    )


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    tallies = []
    for at in range(60):
        chance = rng.beta(0.5, 1.0)
        a, b, c, silent = rng.multinomial(40, [chance, *((1 - chance) * np.array([0.6, 0.3, 0.1]))])
        tallies.append(tally(f"p{at}", {"a": int(a), "b": int(b), "c": int(c)}, int(silent)))
    path = tmp_path / "tiny.jsonl.xz"
    save(path, {"name": "tiny", "task": "made", "shape": asdict(SHAPE), "training_flop": 1e9}, tallies)
    return path


def test_a_recording_is_fitted_and_its_laws_are_compared(ponder: Run, recording: Path) -> None:
    code, out, _ = ponder("law", "fit", str(recording))
    assert code == 0
    assert "tiny, made: 60 problems, 40 draws of each." in out
    assert "pass@32, %" in out
    assert "vote as drawn" in out
    code, out, _ = ponder("law", "fit", str(recording), "--json")
    (told,) = json.loads(out)
    assert told["problems"] == 60
    assert told["coverage"]["word"] in ("law", "trend")
    errors = [each["relative_error"] for each in told["coverage"]["forecasts"]]
    assert errors == sorted(errors)
    assert told["coverage"]["forecasts"][0]["fitted_to"] == 8
    assert told["note"] == ""
    assert told["coverage"]["likelihood"].endswith("beta-binomial")


def test_a_forecast_says_what_is_beyond_the_draws_and_what_it_costs(ponder: Run, recording: Path) -> None:
    code, out, _ = ponder(
        "law",
        "forecast",
        str(recording),
        "--samples",
        "8",
        "--samples",
        "4000",
        "--law",
        "beta-binomial",
        "--json",
    )
    assert code == 0
    (told,) = json.loads(out)
    near, far = told["forecasts"]
    assert (near["beyond"], far["beyond"]) == (False, True)
    counts = Counts.from_recorded(load(recording))
    assert counts.tokens is not None
    assert far["tokens"] == pytest.approx(4000 * counts.tokens.mean())
    recorded = load(recording).flop([8]).mean()
    assert near["flop"] == pytest.approx(recorded)
    assert near["coverage"]["low"] < near["coverage"]["value"] < far["coverage"]["value"]
    assert near["coverage"]["value"] == pytest.approx(load(recording).passed([8]).mean(), abs=0.05)
    assert told["coverage_law"]["law"] == "beta-binomial"
    assert far["vote"]["value"] < far["coverage"]["value"]


def test_the_samples_that_a_coverage_takes(ponder: Run, recording: Path) -> None:
    code, out, _ = ponder(
        "law", "forecast", str(recording), "--reach", "0.8", "--law", "beta-binomial", "--json"
    )
    assert code == 0
    (row,) = json.loads(out)[0]["needs"]
    assert 1 < row["low"] < row["samples"] < row["high"]
    code, out, _ = ponder(
        "law",
        "forecast",
        str(recording),
        "--samples",
        str(row["samples"]),
        "--law",
        "beta-binomial",
        "--json",
    )
    assert json.loads(out)[0]["forecasts"][0]["coverage"]["value"] == pytest.approx(0.8, abs=0.02)
    code, out, _ = ponder("law", "forecast", str(recording), "--reach", "0.8", "--law", "beta-binomial")
    assert "A coverage of 80.0% takes N = " in out


def test_a_measured_run_is_read_from_the_ledger(ponder: Run, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "l.db"), reports=tmp_path / "reports")
    engine = ScriptedEngine.drawing({"so 3": 3.0, "so 4": 1.0})
    measure_tasks("countdown", samples=12, problems=4, strategies=["vote"], engine=engine, settings=settings)
    code, _, err = ponder("law", "fit", "latest")
    # What the scripted engine says is wrong throughout.
    assert code == 2
    assert "no draw is right" in err


def test_what_is_no_source_of_draws_is_refused_in_one_sentence(
    ponder: Run, recording: Path, tmp_path: Path
) -> None:
    (tmp_path / "plain.jsonl").write_text("{}\n")
    for arguments, why in (
        (["fit", "plain.jsonl"], "is no recording; samples are read by `ponder bank import"),
        (["fit", str(recording), "--task", "other"], "holds made alone"),
        (["forecast", str(recording), "--samples", "0"], "0 is not in the range"),
        (["forecast", str(recording)], "Say --samples N or --reach COVERAGE"),
        (["forecast", str(recording), "--samples", "4", "--law", "beta"], "Unknown law 'beta'"),
    ):
        code, _, err = ponder("law", *arguments)
        assert code == 2
        assert why in err
        assert err.count("\n") == 1


def few(tmp_path: Path, tallies: list[Tally], name: str = "few") -> str:
    path = tmp_path / f"{name}.jsonl.xz"
    save(path, {"name": name, "task": "made", "shape": asdict(SHAPE), "training_flop": 1e9}, tallies)
    return str(path)


def test_draws_that_bear_no_law_are_refused_in_one_sentence(ponder: Run, tmp_path: Path) -> None:
    mixed = [tally(f"p{at}", {"a": 3 + at, "b": 17 - at}, 0) for at in range(5)]
    refusals = {
        "problems: 1 cannot bound a law": mixed[:1],
        "every draw is right": [tally(f"p{at}", {"a": 20}, 0) for at in range(5)],
        "no draw is right": [tally(f"p{at}", {"b": 20}, 0) for at in range(5)],
        "has 4 a problem; a law is fitted to at least 2": [
            tally(f"p{at}", {"a": at % 4, "b": 4 - at % 4}, 0) for at in range(5)
        ],
    }
    for at, (why, tallies) in enumerate(refusals.items()):
        file = few(tmp_path, tallies, f"few{at}")
        for verb in (("fit", file), ("forecast", file, "--samples", "9")):
            code, _, err = ponder("law", *verb)
            assert code == 2
            assert why in err
            assert (err.count("\n"), err.count(". ")) == (1, 0)


def test_a_run_or_picture_that_cannot_be_is_refused_before_anything_is_fitted(
    ponder: Run, recording: Path, tmp_path: Path
) -> None:
    for arguments, why in (
        (["fit", "nowhere.jsonl.xz"], "there is no file nowhere.jsonl.xz"),
        (["fit", str(tmp_path)], "is a folder"),
        (["fit", ""], "its name is empty"),
        (["fit", str(recording), "--out", "law.gif"], "law.gif is no .png, .svg, .json"),
        (["worth", str(tmp_path / "none"), "--out", "worth.pdf"], "worth.pdf is no .png"),
        (["worth", str(tmp_path / "none")], "has no recording with known training"),
        (["compute", str(recording), "--unit", "tokens"], "a recording is told in FLOP"),
    ):
        code, _, err = ponder("law", *arguments)
        assert code == 2
        assert why in err
        assert err.count("\n") == 1


def test_pictures_are_drawn_of_what_is_told(ponder: Run, recording: Path, tmp_path: Path) -> None:
    code, out, _ = ponder("law", "fit", str(recording), "--out", str(tmp_path / "law"))
    assert code == 0
    assert [Path(line).name for line in out.splitlines()[-3:]] == ["law.png", "law.svg", "law.json"]
    (told,) = json.loads((tmp_path / "law.json").read_text())
    assert [row["samples"] for row in told["coverage"]["measured"]] == [1, 2, 4, 8, 16, 32, 40]
    assert [row["samples"] for row in told["vote"]["measured"]] == [1, 4, 8, 16, 32, 40]
    svg = (tmp_path / "law.svg").read_text()
    assert "forecast" in svg
    assert f"line: {told['coverage']['law']}, a {told['coverage']['word']}" in svg
    code, _, _ = ponder(
        "law", "forecast", str(recording), "--samples", "900", "--out", str(tmp_path / "f.json"), "--json"
    )
    assert code == 0
    assert json.loads((tmp_path / "f.json").read_text())[0]["forecasts"][0]["samples"] == 900


def test_strategies_of_a_recording_are_told_against_compute(ponder: Run, recording: Path) -> None:
    code, out, _ = ponder("law", "compute", str(recording), "--draws", "100")
    assert code == 0
    assert "coverage*" in out
    assert "FLOP from" in out
    code, out, _ = ponder("law", "compute", str(recording), "--draws", "100", "--json")
    (told,) = json.loads(out)
    assert [each["strategy"] for each in told["strategies"]] == ["vote", "coverage", "one chain"]
    assert told["unit"] == "FLOP"
    assert {each["name"] for each in told["leads"]} <= {"vote", "one chain"}


def test_tables_fit_in_80_columns(
    ponder: Run, recording: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    write_ladder(tmp_path / "ladder")
    for arguments in (
        ["fit", str(recording)],
        ["forecast", str(recording), "--samples", "8", "--samples", "1000000", "--reach", "0.9"],
        ["compute", str(recording), "--draws", "100"],
        ["worth", str(tmp_path / "ladder"), "--draws", "100"],
        ["exchange", str(tmp_path / "ladder"), "--draws", "100"],
    ):
        code, out, err = ponder("law", *arguments)
        assert code == 0, err
        assert max(len(line.rstrip()) for line in out.splitlines()) <= 80, out


def test_a_worth_counts_what_is_sure_of_models_that_are_ever_right(ponder: Run, tmp_path: Path) -> None:
    write_ladder(tmp_path)
    code, out, err = ponder("law", "worth", str(tmp_path), "--strategy", "pass", "--draws", "100", "--json")
    assert code == 0, err
    (study,) = json.loads(out)["tasks"]
    rows = [row for row in study["models"] if row["enhanced"]["value"] > 0.0]
    counts = []
    for beside in ("beside_equal", "beside_own"):
        for verdict in ("more", "less"):
            shown = [row[beside][verdict] for row in rows]
            counts.append(sum(each["holds"] and each["share"] >= 0.95 for each in shown))
    more, less, own_more, own_less = counts
    code, out, err = ponder("law", "worth", str(tmp_path), "--strategy", "pass", "--draws", "100")
    assert code == 0, err
    said = " ".join(out.split())
    assert f"of {len(rows)} models that are ever right: worth more than the FLOP after the x {more}" in said
    assert f", less {less}; more than its own training {own_more}, less {own_less}; better than" in said
    assert more >= own_more > 0


def test_a_trend_is_told_no_chance() -> None:
    assert law_ladder._chance(2e-88, "trend") == "as far as the trend holds"
    assert [law_ladder._chance(p, "law") for p in (2e-88, 0.0312)] == ["p < 0.001", "p = 0.031"]


def test_a_middle_that_is_nowhere_is_no_number() -> None:
    assert law_compute._power(Estimate(2.0, -900.0, 400.0)) == "100 [0, ∞]"


def test_a_measured_runs_strategies_are_told_against_compute(ponder: Run, tmp_path: Path) -> None:
    settings = Settings(ledger=str(tmp_path / "l.db"), reports=tmp_path / "reports")
    engine = ScriptedEngine.drawing({"so 3": 3.0, "so 4": 1.0})
    measure_tasks("countdown", samples=32, problems=4, strategies=["vote"], engine=engine, settings=settings)
    code, out, err = ponder("law", "compute", "latest", "--draws", "100")
    assert code == 0, err
    said = " ".join(out.split())
    assert "No law of vote, coverage: scores: vote is wrong" in said or "No law of vote: scores: vote" in said
    code, _, err = ponder("law", "compute", "other")
    assert code == 2
    assert "Unknown run 'other'" in err
