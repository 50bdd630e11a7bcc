"""The ladder: its plan, climbing it, being killed on the way, and what the ledger says of it."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from ponder.cli._app import run  # noqa: E402
from ponder.errors import (  # noqa: E402
    CheckpointInvalid,
    InputError,
    RunChanged,
    TrainingDiverged,
    UnknownName,
)
from ponder.ledger import Ledger, verify  # noqa: E402
from ponder.train import rung as rungs  # noqa: E402
from ponder.train.ladder import Progress, climb_ladder  # noqa: E402
from ponder.train.ladder_plan import Plan, Rung, Selection, make_plan  # noqa: E402
from ponder.train.models import open_checkpoint  # noqa: E402
from tests.train.small import TASK, same, weights  # noqa: E402

ROWS: dict[str, Any] = {
    "training": {"rungs": 3, "spacing": 2.0, "batch": 1024, "warm_up": 4_000, "decay": 0.25},
    "sizes": {
        "tiny": {
            "shape": {"layers": 1, "d_model": 16, "heads": 2, "d_ff": 32},
            "learning_rate": 1e-2,
            "tokens": 24_000,
            "flop_per_second": 1e9,
        },
        "small": {
            "shape": {"layers": 1, "d_model": 32, "heads": 2, "d_ff": 64},
            "learning_rate": 1e-2,
            "tokens": 24_000,
        },
    },
    "mixtures": {"facts": [[TASK, "steps", 1]]},
    "grid": [{"mixture": "facts", "recipe": "random", "seeds": [0], "sizes": ["tiny", "small"]}],
}


def plan(rows: Mapping[str, Any] = ROWS, **selected: Any) -> Plan:
    return make_plan(Selection(**selected), rows=rows)


# ---------------------------------------------------------------- the plan


def test_the_built_in_grid_has_five_sizes_with_six_checkpoints_log_spaced_in_compute() -> None:
    trunks = make_plan().by_trunk()
    sizes = {found[0].trunk.size.name for found in trunks.values()}
    assert len(sizes) >= 5
    for found in trunks.values():
        assert len(found) >= 6
        ratios = {round(b.path_flop / a.path_flop, 1) for a, b in itertools.pairwise(found)}
        assert len(ratios) == 1
        # Between two checkpoints the trunk goes on, and no branch is longer than what follows.
        for low, high in itertools.pairwise(found):
            assert low.tokens <= high.steady.tokens


def test_the_built_in_grid_fits_into_three_hours_on_two_cores() -> None:
    seconds = make_plan().seconds(2)
    assert seconds is not None
    assert seconds < 3 * 3600


def test_the_cheapest_rungs_come_first_and_a_trunk_in_its_order() -> None:
    made = make_plan().rungs
    assert [r.path_flop for r in made] == sorted(r.path_flop for r in made)
    assert len({r.trunk.size.name for r in made[: len(made) // 2]}) >= 3


def test_every_rung_has_a_place_of_its_own_whatever_is_selected() -> None:
    made = make_plan(gpu=True)
    assert len({r.place for r in made.rungs}) == len(made.rungs)
    some = make_plan(Selection(sizes=("28k",)))
    places = {r.name: r.place for r in made.rungs}
    assert all(places[r.name] == r.place for r in some.rungs)
    assert some.config == made.config


def test_work_that_a_rung_adds_is_its_stretch_of_the_trunk_and_its_branch() -> None:
    first, second, third = plan(sizes=("tiny",)).rungs
    assert [r.tokens for r in (first, second, third)] == [6_000, 12_000, 24_000]
    per_token = first.path_flop / 6_000
    assert first.flop == pytest.approx(per_token * 6_000)
    assert second.flop == pytest.approx(per_token * (12_000 - 4_500))
    assert third.flop == pytest.approx(per_token * (24_000 - 9_000))
    assert Rung.from_json(json.loads(json.dumps(third.to_json()))) == third


@pytest.mark.parametrize(
    ("selected", "complaint"),
    [
        ({"sizes": ("7k",)}, "Unknown size '7k'"),
        ({"mixtures": ("step",)}, "Unknown mixture 'step'"),
        ({"recipes": ("best",)}, "Unknown recipe 'best'"),
    ],
)
def test_a_name_that_is_not_there_is_told(selected: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UnknownName, match=complaint):
        make_plan(Selection(**selected))


def test_a_combination_that_the_grid_has_not_is_told() -> None:
    with pytest.raises(InputError, match="no such combination"):
        plan(seeds=(7,))


# ---------------------------------------------------------------- climbing


def climb_here(made: Plan, out: Path) -> list[list[dict[str, Any]]]:
    """Every rung, in this process."""
    return [rungs.climb(rung, out) for rung in made.rungs]


def test_a_climb_leaves_checkpoints_and_books_each_piece_of_work_once(tmp_path: Path) -> None:
    seen: list[Progress] = []
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        done = climb_ladder(plan(), tmp_path / "out", ledger, processes=2, watch=seen.append)
        again = climb_ladder(plan(), tmp_path / "out", ledger, processes=1)
        booked = ledger.stages(done.run)
    assert done.failures == ()
    assert done == again
    finished = [p.finished.name for p in seen if p.finished]
    assert sorted(finished) == sorted(rung.name for rung in plan().rungs)
    for trunk in {name.rpartition("/")[0] for name in finished}:
        assert [name for name in finished if name.startswith(trunk)] == [f"{trunk}/{n}" for n in (1, 2, 3)]
    assert seen[-1].share == pytest.approx(1.0)
    assert len(done.folders) == 6
    assert verify(tmp_path / "ledger.sqlite").ok
    for folder in done.folders:
        found = open_checkpoint(folder)
        path = found.training["stages"]
        assert path[0]["tokens"] >= found.training["schedule"]["tokens"]
        assert path[0]["flop_counted"] == pytest.approx(path[0]["flop"], rel=0.02)
        mine = [row for row in booked if row.model == found.training["name"]]
        assert {row.part for row in mine} == {"trunk", "anneal"}
        assert {row.device for row in mine} == {"cpu, 1 thread"}
    # A trunk's rows add up to the trunk's work: the branches are not in it, and nothing is twice.
    about = json.loads((tmp_path / "out/tiny-facts-random-0/3/ponder.json").read_text())
    rows = [row for row in booked if row.model.startswith("tiny") and row.part == "trunk"]
    assert sum(row.tokens or 0 for row in rows) == about["trunk"]["tokens"]
    assert sum(row.flop or 0 for row in rows) == pytest.approx(about["trunk"]["flop"])


SCRIPT = """
import sys
from pathlib import Path
from ponder.ledger import Ledger
from ponder.train.ladder import climb_ladder
from tests.train.test_ladder import plan
with Ledger.open(sys.argv[1], write=True) as ledger:
    climb_ladder(plan(), Path(sys.argv[2]), ledger, processes=2)
"""


def test_a_killed_climb_ends_as_an_undisturbed_one(tmp_path: Path, one_thread: None) -> None:
    ledger, out, root = tmp_path / "ledger.sqlite", tmp_path / "out", Path(__file__).parents[2]
    command = [sys.executable, "-c", SCRIPT, str(ledger), str(out)]
    killed = 0
    for wanted in (1, 3):
        process = subprocess.Popen(command, cwd=root, start_new_session=True)
        try:
            while process.poll() is None and len(list(out.glob("*/[1-3]/ponder.json"))) < wanted:
                time.sleep(0.01)
        finally:
            process.kill()  # its children are to notice by themselves
            killed += process.wait() == -signal.SIGKILL
    assert killed >= 1
    subprocess.run(command, cwd=root, check=True)
    climb_here(plan(), tmp_path / "whole")
    for rung in plan().rungs:
        one = open_checkpoint(rungs.folder_of(rung, out))
        other = open_checkpoint(rungs.folder_of(rung, tmp_path / "whole"))
        assert same(weights(one.model), weights(other.model))
        for name in ("tokens", "padded_tokens", "flop"):
            assert one.training["stages"][0][name] == other.training["stages"][0][name]
    with Ledger.open(ledger, write=False) as store:
        booked = store.stages(store.runs()[0].id)
    assert verify(ledger).ok
    whole = [row for rung in plan().rungs for row in rungs.booked(rungs.folder_of(rung, tmp_path / "whole"))]
    for part in ("trunk", "anneal"):
        assert sum(row.flop or 0 for row in booked if row.part == part) == pytest.approx(
            sum(row["flop"] for row in whole if row["part"] == part)
        )


def test_a_trunk_that_diverges_is_left_and_the_others_are_climbed(tmp_path: Path) -> None:
    wild = {**ROWS["sizes"]["tiny"], "learning_rate": 1e30}
    rows = {**ROWS, "sizes": {**ROWS["sizes"], "tiny": wild}}
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        done = climb_ladder(plan(rows), tmp_path / "out", ledger, processes=1)
        kinds = [event.kind for event in ledger.events(done.run)]
    assert len(done.folders) == 3
    (failure,) = done.failures
    assert isinstance(failure, TrainingDiverged)
    assert "lower 1e+30" in str(failure)
    assert "finished" not in kinds


def test_a_folder_of_another_plan_is_refused(tmp_path: Path) -> None:
    rows = {**ROWS, "training": {**ROWS["training"], "decay": 0.5}}
    with Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger:
        climb_ladder(plan(sizes=("tiny",), tokens=None), tmp_path / "out", ledger, processes=1)
        with pytest.raises(RunChanged, match=r"^training: .* --out"):
            climb_ladder(plan(rows), tmp_path / "out", ledger)


def test_a_folder_that_another_climb_holds_is_refused(tmp_path: Path) -> None:
    from ponder.ledger.sqlite import Lock

    (tmp_path / "out").mkdir()
    held = Lock(tmp_path / "out" / ".lock", "held")
    with (
        Ledger.open(tmp_path / "ledger.sqlite", write=True) as ledger,
        pytest.raises(InputError, match="another process is climbing"),
    ):
        climb_ladder(plan(), tmp_path / "out", ledger)
    held.release()


def test_a_checkpoint_that_was_lost_below_its_trunk_is_told(tmp_path: Path) -> None:
    made = plan(sizes=("tiny",))
    climb_here(made, tmp_path)
    (rungs.folder_of(made.rungs[0], tmp_path) / "model.safetensors").unlink()
    with pytest.raises(CheckpointInvalid, match="put it back, or train into another folder"):
        rungs.climb(made.rungs[0], tmp_path)


# ---------------------------------------------------------------- the command


def test_a_dry_run_prints_the_plan_and_trains_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--dry-run", "--json", "--device", "cpu", "--sizes", "8k", "--out", str(tmp_path))
    assert run(["train", "ladder", *words]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seconds"] > 0
    assert {row["name"].split("-")[0] for row in found["rungs"]} == {"8k"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--seed", "one"), "not a list of whole numbers"),
        (("--sizes", "9k"), "Unknown size '9k'"),
        (("--tokens", "0"), "--tokens"),
        (("--run", "latest"), "stands for"),
    ],
)
def test_a_command_that_cannot_be_is_one_sentence(
    words: tuple[str, ...], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["train", "ladder", "--dry-run", "--device", "cpu", *words]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert complaint in line
