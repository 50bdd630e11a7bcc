"""What a folder of recordings tells, from files to the command line and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click import Command
from click.testing import CliRunner
from tests.laws.recordings import DRAWS, TASK, write_ladder

from ponder.cli.law_ladder import exchange, worth
from ponder.errors import InputError, LawUndefined, UnknownName
from ponder.laws.joint import JointLaw
from ponder.laws.ladder import Ladder, grid_of, read
from ponder.laws.study import study_exchange, study_worth
from ponder.report.law_charts import exchange_chart
from ponder.train.recorded import Tally, save

FACTS = "char_facts"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ladder")
    write_ladder(path, curated=4.0, reinforced=TASK)
    return path


@pytest.fixture(scope="module")
def found(folder: Path) -> Ladder:
    return read(folder)


def test_a_folder_is_read_as_families(found: Ladder) -> None:
    assert found.tasks == (TASK,)
    assert len(found.pretrained(TASK)) == 12
    assert len(found.pretrained(TASK, recipe="curated")) == 12
    assert [each.name for each in found.trained_further(TASK)] == ["rl"]
    with pytest.raises(UnknownName):
        found.pretrained("char_chain")
    with pytest.raises(LawUndefined, match=r"^models: .* that was pretrained on other texts"):
        found.pretrained(TASK, recipe="other")


def test_a_grid_has_the_votes_and_costs_of_the_recordings(found: Ladder) -> None:
    recordings = found.pretrained(TASK)
    grid = grid_of(recordings, "vote")
    assert grid.amounts.tolist() == [1, 4, 8, 16]
    assert grid.values[:, 3] == pytest.approx(recordings[3].vote([1, 4, 8, 16]))
    assert grid.inference_flop[3] == pytest.approx(recordings[3].flop([1, 4, 8, 16]).mean(axis=0))
    assert grid_of(recordings, "pass", most=6).amounts.tolist() == [1, 2, 4, 6]
    assert grid.runs[0] == "154k-steps-random"
    chain = grid_of(recordings, "chain")
    assert (chain.unit, chain.amounts[-1]) == ("tokens", 40)
    assert chain.values[:, 0, -1] == pytest.approx(recordings[0].passed([1])[:, 0])
    with pytest.raises(LawUndefined, match=rf"^samples: 64 were asked for, and {DRAWS} were drawn"):
        grid_of(recordings, "vote", most=64)


def test_recordings_of_unknown_training_are_named_and_left_out(folder: Path, tmp_path: Path) -> None:
    known = read(folder).recordings[0]
    save(tmp_path / "a.jsonl.xz", known.about, known.tallies)
    save(tmp_path / "b.jsonl.xz", {**known.about, "training_tokens": None, "name": "b"}, known.tallies)
    assert read(tmp_path).left_out == (f"b ({TASK})",)
    (tmp_path / "a.jsonl.xz").unlink()
    with pytest.raises(InputError, match=r"^ladder: .* has no recording with known training tokens and FLOP"):
        read(tmp_path)


def test_models_of_other_problems_are_no_family(found: Ladder) -> None:
    first, second = found.pretrained(TASK)[:2]
    renamed = Tally(**{**{n: getattr(second.tallies[0], n) for n in Tally.__slots__}, "id": "another"})
    other = type(second)(second.about, (renamed, *second.tallies[1:]))
    with pytest.raises(LawUndefined, match=r"^models: they were not asked the same problems"):
        grid_of([first, other], "vote")


def test_a_study_is_told_as_plain_values(found: Ladder) -> None:
    study = study_exchange(found, TASK, "pass", draws=100)
    told = json.loads(json.dumps(study.to_json(), allow_nan=False))
    assert told["problems"] == 40
    assert told["law"]["tokens"]["low"] < told["law"]["tokens"]["value"]
    assert told["ceiling"]["fitted"] == (study.law.law == JointLaw())
    assert study.in_flop.law == JointLaw("flop", ceiling=study.choice.law.ceiling)
    assert {each["equal"] for each in told["gains"]} == {"samples", "FLOP"}
    assert len(told["without_size"]) == 3
    assert 0 <= told["product_form"]["p_value"] <= 1


def test_contours_are_told_without_a_law_too(found: Ladder) -> None:
    """The recordings are drawn from such a law, so both contours run alike."""
    study = study_exchange(found, TASK, "pass", accuracies=[0.3, 0.5, 0.7], draws=100)
    for law, measured in zip(study.exchange.levels, study.measured, strict=True):
        assert law.accuracy == measured.accuracy
        assert law.rate is not None
        assert measured.rate is not None
        assert measured.rate.low <= law.rate.high
        assert law.rate.low <= measured.rate.high
        by_law = np.interp(np.log(measured.training), np.log(law.training), law.inference)
        assert measured.inference / by_law == pytest.approx(np.ones(len(measured.models)), abs=0.3)
    told = [each["measured"]["contour"] for each in study.to_json()["levels"]]
    assert [[row["model"] for row in rows] for rows in told] == [list(each.models) for each in study.measured]
    drawn = exchange_chart([study]).to_dict(validate=False)["datasets"].values()
    dots = [row["x"] for rows in drawn for row in rows if row.get("line") in ("0", "1", "2")]
    assert dots == [row["training_flop"] for rows in told for row in rows]


def test_worth_of_better_texts_is_what_they_were_made_of(found: Ladder) -> None:
    study = study_worth(found, TASK, "curated", draws=100)
    gains = [row.gain.value for row in study.rows if row.gain and not row.gain.beyond]
    assert len(gains) >= 5
    assert 2.0 < np.exp(np.mean(np.log(gains))) < 8.0
    assert study.amount == 1


def test_training_further_is_narrow_on_its_own_task(found: Ladder, tmp_path: Path) -> None:
    assert study_worth(found, TASK, "further", draws=100).breadth == ("narrow",)
    write_ladder(tmp_path, task=FACTS, reinforced=TASK)
    other = study_worth(read(tmp_path), FACTS, "further", draws=100)
    assert other.breadth == ("broad",)
    with pytest.raises(InputError, match=r"^samples: training is compared at one sample"):
        study_worth(found, TASK, "curated", samples=4)


@pytest.mark.parametrize(
    ("verb", "options"), [(exchange, []), (worth, ["--strategy", "vote"]), (worth, ["--strategy", "further"])]
)
def test_the_command_line_tells_it_and_draws_it(
    verb: Command, options: list[str], folder: Path, tmp_path: Path
) -> None:
    arguments = [str(folder), *options, "--draws", "100", "--out", str(tmp_path / "picture")]
    shown = CliRunner().invoke(verb, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert TASK in shown.output
    told = json.loads((tmp_path / "picture.json").read_text())
    assert told[0]["task"] == TASK
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    as_json = CliRunner().invoke(verb, [*arguments[:-2], "--json"], catch_exceptions=False)
    document = json.loads(as_json.output)
    assert [each["task"] for each in document["tasks"]] == [TASK]
    assert document["undefined"] == []


def test_of_named_tasks_those_alone_are_read(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lone = read(folder).pretrained(TASK)[0]
    save(tmp_path / "lone.jsonl.xz", {**lone.about, "task": FACTS}, lone.tallies)
    assert read(tmp_path, [TASK]).tasks == (TASK,)
    assert read(tmp_path, [FACTS, "another"]).tasks == (FACTS,)
    for tasks in (["another"], [FACTS, "another"]):
        named = [part for task in tasks for part in ("--task", task)]
        shown = CliRunner().invoke(worth, [str(tmp_path), *named], standalone_mode=False)
        assert isinstance(shown.exception, LawUndefined if FACTS in tasks else UnknownName)
    with pytest.raises(UnknownName, match=rf"Unknown task 'another'.*{TASK}, {FACTS}"):
        read(tmp_path, [FACTS]).pretrained("another")


def test_a_task_that_bears_no_law_is_named(folder: Path, tmp_path: Path) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    lone = read(folder).pretrained(TASK)[0]
    save(tmp_path / "lone.jsonl.xz", {**lone.about, "task": FACTS}, lone.tallies)
    shown = CliRunner().invoke(exchange, [str(tmp_path), "--draws", "100"], catch_exceptions=False)
    said = " ".join(shown.output.split())
    assert "Undefined for char_facts: size: vote on char_facts was measured at one value only" in said
