"""Searches on the ladder, run to the end on untrained models: continued, not bought twice, refused."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from benchmarks.search_on_ladder import Part, main

from benchmarks import search_on_ladder
from ponder.engines.reward_folder import FORM
from ponder.ledger import Ledger
from ponder.train.models import new_model, open_checkpoint, write_checkpoint
from ponder.train.record import RecordSettings, record
from ponder.train.reward_model import new_reward_model
from tests.train.small import SHAPE

STEPS, SEARCH = "char_countdown:numbers=3", "char_countdown:numbers=3,search=true"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A solver, its reward model, and its recordings of two tasks."""
    write_checkpoint(tmp_path / "solver", new_model(SHAPE, 3), {"stages": []}, dtype="float32")
    reward = new_reward_model(open_checkpoint(tmp_path / "solver"), 0)
    write_checkpoint(tmp_path / "reward", reward, {FORM: {"question_end": ":"}}, dtype="float32")
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as store:
        for name, task in (("steps", STEPS), ("search", SEARCH)):
            settings = RecordSettings(tmp_path / "solver", task, problems=3, draws=2)
            record(settings, ledger=store, out=tmp_path / f"{name}.xz", processes=1, device="cpu")
    parts = {
        "search": Part(("beam:by=process,n=4,width=2",), shuffled=True),
        "force": Part(("force:limit=60,waits=2",), repeats=2),
        "cascade": Part(("cascade:n=2",)),
    }
    monkeypatch.setattr(search_on_ladder, "PARTS", parts)
    return tmp_path


def options(place: Path, part: str, recording: str, **changes: Any) -> argparse.Namespace:
    given: dict[str, Any] = {"part": part, "solver": place / "solver", "recording": place / recording}
    given |= {"reward": None, "large": None, "beside": None, "problems": 2, "result": place / "result.json"}
    return argparse.Namespace(**given | changes)


async def test_every_part_runs_into_one_result_and_a_rerun_buys_nothing(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        options(place, "search", "steps.xz", reward=place / "reward"),
        options(place, "force", "search.xz"),
        options(place, "cascade", "steps.xz", large=place / "solver", beside=place / "steps.xz"),
    ]
    for each in asked:
        await main(each)
    parts = json.loads((place / "result.json").read_text("utf-8"))["parts"]
    rivals = {name: set(part["summary"][0]["rivals"]) for name, part in parts.items()}
    assert rivals == {
        "search": {"vote", "vote_by_tokens", "shuffled"},
        "force": {"vote", "cut", "unforced"},
        "cascade": {"vote", "large_vote"},
    }
    (forced,) = parts["force"]["rows"].values()
    assert [len(runs) for runs in forced.values()] == [2, 2]
    assert all(run[1] > 0 and 0 < run[2] <= 60 for runs in forced.values() for run in runs)

    async def refused(*_: object) -> list[float]:
        raise AssertionError("bought again")

    monkeypatch.setattr(search_on_ladder, "one", refused)
    for each in asked:
        await main(each)
    assert json.loads((place / "result.json").read_text("utf-8"))["parts"] == parts
    with pytest.raises(SystemExit, match="force is of another setting"):
        await main(options(place, "force", "search.xz", problems=1))


async def test_a_recording_of_another_checkpoint_is_refused(place: Path) -> None:
    write_checkpoint(place / "other", new_model(SHAPE, 4), {"stages": []}, dtype="float32")
    with pytest.raises(SystemExit, match="is not what --solver names"):
        await main(options(place, "force", "search.xz", solver=place / "other"))
    other = options(place, "cascade", "steps.xz", large=place / "solver", beside=place / "search.xz")
    with pytest.raises(SystemExit, match="of other problems"):
        await main(other)
