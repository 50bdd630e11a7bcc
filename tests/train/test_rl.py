"""Reinforcement learning really runs: steps of GRPO on a tiny model, booked, killed, and gone on with."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from ponder import ledger as ledgers  # noqa: E402
from ponder.errors import CheckpointInvalid, InputError, OutOfMemory, RunChanged, TrainingDiverged  # noqa: E402
from ponder.ledger import Ledger, StageRow  # noqa: E402
from ponder.tasks.chars import examples  # noqa: E402
from ponder.train import rl, rl_trainer  # noqa: E402
from ponder.train.models import new_model, open_checkpoint, write_checkpoint  # noqa: E402
from ponder.train.rl import plan_rl  # noqa: E402
from ponder.train.rl_result import RlResult  # noqa: E402
from ponder.train.supervised import Schedule, fit  # noqa: E402
from tests.train.policies import CHAIN, STEPS, chosen, learn  # noqa: E402
from tests.train.small import SHAPE, same, weights  # noqa: E402

pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that gets some of its answers right."""
    folder = tmp_path_factory.mktemp("start") / "tiny"
    model = new_model(SHAPE, 0)
    schedule = Schedule(tokens=300_000, learning_rate=8e-3, decay=75_000, batch=1024)
    texts = [(CHAIN, "steps", 1.0)]
    trained = fit(model, lambda at: examples(texts, recipe="random", seed=0, start=at), schedule)
    about = {"stage": "pretrain", "tokens": trained.work.tokens, "flop": trained.work.flop}
    write_checkpoint(folder, model, {"name": "tiny", "stages": [about], "booked": [about]})
    return folder


@pytest.fixture(scope="module")
def finished(start: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RlResult, list[StageRow]]:
    place = tmp_path_factory.mktemp("finished")
    return place, *learn(place, chosen(start))


def test_every_flop_is_on_the_ledger_by_stage(finished: tuple[Path, RlResult, list[StageRow]]) -> None:
    place, result, rows = finished
    for part, stage in (("rollouts", "rollouts"), ("update", "rl_update"), ("evaluation", "evaluation")):
        booked = [row for row in rows if row.stage == stage]
        work = result.work[part]
        assert sum(row.flop or 0 for row in booked) == pytest.approx(work.flop)
        assert sum(row.tokens or 0 for row in booked) == work.tokens
        assert sum(row.padded_tokens or 0 for row in booked) == work.positions
        assert all(
            row.flop_method == "shape" and row.device == "cpu, 1 thread" and row.seconds for row in booked
        )
    assert set(result.work) == {"rollouts", "update", "evaluation"}
    assert [row.position for row in rows] == list(range(len(rows)))
    assert result.work["rollouts"].examples == STEPS * 64
    assert ledgers.verify(place / "ledger.sqlite").ok


def test_the_formulas_agree_with_the_operation_counter(
    finished: tuple[Path, RlResult, list[StageRow]],
) -> None:
    _, result, rows = finished
    assert result.counted == {"rollouts": pytest.approx(1, rel=0.02), "learning": pytest.approx(1, rel=0.02)}
    learnt = [row for row in rows if row.stage != "evaluation"]
    assert all(row.flop_counted == pytest.approx(row.flop, rel=0.02) for row in learnt)


def test_real_tokens_are_those_that_the_trainer_counts(
    finished: tuple[Path, RlResult, list[StageRow]],
) -> None:
    _, result, _ = finished
    assert result.notes[-1]["tokens"] == result.work["rollouts"].tokens
    assert [note["step"] for note in result.notes] == [1, 2, 3, 4]
    assert all({"reward", "entropy", "length"} <= set(note) for note in result.notes)
    assert any(note["reward"] > 0 for note in result.notes)


def test_the_policy_is_scored_before_along_the_way_and_after(
    finished: tuple[Path, RlResult, list[StageRow]],
) -> None:
    _, result, _ = finished
    assert [each.step for each in result.evaluations] == [0, 2, 4]
    assert result.evaluations[0].flop == 0 < result.evaluations[1].flop < result.evaluations[2].flop
    learned = result.work["rollouts"].flop + result.work["update"].flop
    assert result.evaluations[-1].flop == pytest.approx(learned)
    for passed in result.scores:
        assert set(passed) == {1, 4}
        assert all(e.low <= e.value <= e.high for e in passed.values())
    assert result.change[1].value == pytest.approx(result.scores[-1][1].value - result.scores[0][1].value)
    assert result.curve is None  # too few points


def test_the_result_is_a_checkpoint_that_stock_transformers_loads(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, result, _ = finished
    model = AutoModelForCausalLM.from_pretrained(result.out)
    tokenizer = AutoTokenizer.from_pretrained(result.out)
    assert tokenizer.decode(tokenizer("7+5-3:").input_ids) == "7+5-3:"
    before, after = open_checkpoint(start), open_checkpoint(result.out)
    assert not same(weights(before.model), weights(after.model))
    assert same(weights(model.float()), weights(after.model))
    stages = [(row["stage"], row.get("part")) for row in after.training["stages"]]
    assert stages == [("pretrain", None), ("rollouts", "rollouts"), ("rl_update", "update")]
    assert "booked" not in after.training  # those rows are another run's
    assert json.loads((result.out / "rl.json").read_text()) == result.to_json()


def test_a_finished_run_is_not_done_again(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, result, rows = finished
    monkeypatch.setattr(rl, "_learn", None)
    again, booked = learn(place, chosen(start))
    assert again.to_json() == result.to_json()
    assert booked == rows
    assert not list((place / "out.state").glob("checkpoint-*"))


_KILLED = """
import os, signal, sys
from pathlib import Path
import torch
from tests.train.policies import chosen, learn

def tell(step, notes):
    if step == int(sys.argv[3]) and "reward" in notes:
        os.kill(os.getpid(), signal.SIGKILL)

torch.set_num_threads(1)
learn(Path(sys.argv[1]), chosen(Path(sys.argv[2]), save_every=2), tell=tell)
"""


@pytest.mark.timeout(1500)  # a process of its own, from nothing, on a machine that may be busy
def test_a_killed_run_goes_on_as_if_it_had_not_been(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path, tmp_path: Path
) -> None:
    _, whole, _ = finished
    command = [sys.executable, "-c", _KILLED, str(tmp_path), str(start), "3"]
    root = Path(__file__).parents[2]
    killed = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as store:
        before = store.stages(store.runs()[0].id)
    assert {row.detail["step"] for row in before} == {2}

    result, rows = learn(tmp_path, chosen(start, save_every=2))
    assert rows[: len(before)] == before
    assert same(weights(open_checkpoint(result.out).model), weights(open_checkpoint(whole.out).model))
    assert [each.score for each in result.evaluations] == [each.score for each in whole.evaluations]
    for part, work in whole.work.items():
        assert result.work[part].flop == pytest.approx(work.flop)
        assert result.work[part].tokens == work.tokens
    # The third step was done twice, and both are on the ledger.
    third = whole.notes[2]["tokens"] - whole.notes[1]["tokens"]
    assert result.repeated["rollouts"].tokens == third
    repeated = [row for row in rows if row.part == "repeated"]
    assert {row.stage for row in repeated} == {"rollouts", "rl_update"}
    total = sum(row.flop or 0 for row in rows)
    assert total == pytest.approx(
        sum(work.flop for works in (result.work, result.repeated) for work in works.values())
    )


def test_a_kill_between_checkpoint_and_ledger_loses_and_doubles_nothing(start: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    settings = chosen(start, steps=2, eval_every=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rl_trainer.Book, "_write_rows", lambda self: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            learn(tmp_path, settings)
    (tmp_path / "out.state" / "checkpoint-9").mkdir()  # one that a kill left half written
    result, rows = learn(tmp_path, settings)
    assert {row.detail["step"] for row in rows} == {1, 2}
    assert not result.repeated
    assert sum(row.flop or 0 for row in rows) == pytest.approx(sum(w.flop for w in result.work.values()))


# ---------------------------------------------------------------- several processes


@pytest.mark.timeout(900)
def test_two_processes_learn_as_one_run(start: Path, tmp_path: Path) -> None:
    """As `accelerate launch` starts them. TRL counts the tokens of all processes by itself."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ponder", "train", "rl", "--from", str(start), "--task", CHAIN, "--device", "cpu"]
    command += ["--steps", "2", "--group", "4", "--prompts", "4", "--rows", "8", "--beta", "0.01"]
    command += ["--eval-every", "1", "--eval-problems", "2", "--eval-samples", "2", "--save-every", "1"]
    command += ["--out", str(tmp_path / "out"), "--ledger", str(tmp_path / "ledger.sqlite"), "--json"]
    for again in (False, True):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-3000:]
        told = json.loads(done.stdout)
        assert told["steps"][-1]["tokens"] == told["work"]["rollouts"]["tokens"]
        assert told["work"]["rollouts"]["examples"] == told["work"]["update"]["examples"] == 2 * 16
        assert [each["step"] for each in told["evaluations"]] == [0, 1, 2]
        assert told["counted"]["learning"] == pytest.approx(1, rel=0.02)
        with Ledger.open(tmp_path / "ledger.sqlite", write=False) as store:
            (run,) = store.runs()
            rows = store.stages(run.id)
            events = [event.kind for event in store.events(run.id)]
        assert events.count("finished") == 1 + again
        assert {row.device for row in rows} == {"cpu, 2 processes"}
        for part, stage in (("rollouts", "rollouts"), ("evaluation", "evaluation")):
            booked = sum(row.flop or 0 for row in rows if row.stage == stage)
            assert booked == pytest.approx(told["work"][part]["flop"])
    assert ledgers.verify(tmp_path / "ledger.sqlite").ok


# ---------------------------------------------------------------- what cannot be done


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group": 1}, "group: it must be at least 2"),
        ({"steps": 0}, "steps: it must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate: it must be a positive number"),
        ({"learning_rate": float("nan")}, "learning_rate: it must be a positive number"),
        ({"beta": -1.0}, "beta: it must be a number of at least 0"),
        ({"rows": 5}, "rows: 5 do not divide the 64 completions"),
    ],
)
def test_settings_that_cannot_be(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        chosen(Path("anywhere"), **changes)


def test_tasks_that_nothing_can_verify_or_that_hold_nothing_out(start: Path, tmp_path: Path) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text('{"question": "What is love?"}\n' * 1 + '{"question": "What is time?"}\n')
    with pytest.raises(InputError, match="has no answers, so that no verifier can reward a reply"):
        learn(tmp_path, chosen(start, task=str(questions)))
    with pytest.raises(InputError, match="holds no problems out"):
        learn(tmp_path, chosen(start, task="char_facts:given=false"))
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as store:
        assert not store.runs()


def test_a_folder_that_lacks_a_file(tmp_path: Path, start: Path) -> None:
    import shutil

    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        broken = tmp_path / name
        shutil.copytree(start, broken)
        (broken / name).unlink()
        with pytest.raises(CheckpointInvalid, match=name):
            learn(tmp_path, chosen(broken))


def test_a_run_with_another_configuration(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path
) -> None:
    place, result, _ = finished
    with pytest.raises(RunChanged, match=r"learning_rate: 0.001 → 0.002"):
        learn(place, chosen(start, learning_rate=2e-3), run=result.run)
    with pytest.raises(RunChanged, match="belongs to a run with another configuration"):
        learn(place, chosen(start, learning_rate=2e-3))


def test_replies_that_do_not_fit_the_context(start: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"max_tokens: prompts of \d+ tokens and 2000 more do not fit"):
        learn(tmp_path, chosen(start, max_tokens=2000, eval_samples=1, eval_problems=1))


@pytest.mark.parametrize("what", ["gradient", "weights"])
def test_a_policy_that_is_no_number_any_more(
    what: str, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = rl_trainer.Learner.step_begins

    def broken(self: Any) -> None:
        begin(self)
        if self.book.progress.step == 1 and what == "weights":
            next(self._model.parameters()).data.fill_(float("nan"))
        if self.book.progress.step == 1 and what == "gradient":
            next(self._model.parameters()).register_hook(lambda gradient: gradient * float("nan"))

    monkeypatch.setattr(rl_trainer.Learner, "step_begins", broken)
    settings = chosen(start, eval_every=4, eval_samples=1, eval_problems=1)
    with pytest.raises(
        TrainingDiverged, match=r"learning_rate: .* lower 0.001. The policy of step 1 is kept"
    ):
        learn(tmp_path, settings)
    assert [path.name for path in (tmp_path / "out.state").glob("checkpoint-*")] == ["checkpoint-1"]
    kept = weights(rl_trainer.load_policy(tmp_path / "out.state" / "checkpoint-1", "cpu"))
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())
    assert not (tmp_path / "out").exists()
    # Gone on with, it ends.
    monkeypatch.undo()
    result, _ = learn(tmp_path, settings)
    assert result.evaluations[-1].step == STEPS


def test_memory_that_runs_out_names_the_batch_to_try(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Any, **_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(rl_trainer.GRPOTrainer, "train", full)
    with pytest.raises(OutOfMemory, match="64 completions a pass do not fit into memory; try --rows 32"):
        learn(tmp_path, chosen(start, eval_samples=1, eval_problems=1))


def test_the_plan_bounds_what_a_run_takes(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path
) -> None:
    _, result, _ = finished
    plan = plan_rl(chosen(start))
    for part, work in result.work.items():
        assert work.flop <= plan.flop[part]
    assert plan.flop["old"] == plan.flop["reference"] == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--task", CHAIN], "Give either --from CHECKPOINT or --model PATH"),
        (["--model", "somewhere"], "Give the --task that the model is to learn"),
        (["--model", "somewhere", "--task", CHAIN], "somewhere is not a folder"),
    ],
)
def test_the_command_says_what_it_lacks(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from ponder.cli._app import run

    assert run(["train", "rl", *words]) == 2
    assert said in capsys.readouterr().err


def test_the_command_shows_a_run(
    finished: tuple[Path, RlResult, list[StageRow]], start: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from ponder.cli._app import run

    place, result, _ = finished
    words = ["train", "rl", "--from", str(start), "--task", CHAIN, "--steps", "4", "--group", "8"]
    words += ["--prompts", "8", "--lr", "1e-3", "--eval-every", "2", "--eval-problems", "6"]
    words += ["--eval-samples", "4", "--save-every", "1"]
    assert run([*words, "--dry-run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["completions"] == 64
    place_words = ["--out", str(place / "out"), "--ledger", str(place / "ledger.sqlite"), "--device", "cpu"]
    assert run([*words, *place_words]) == 0
    shown = capsys.readouterr().out
    assert f"{result.scores[-1][1].value:.3f} [" in shown
    assert "rollouts" in shown
    assert "…" not in shown


def test_an_interrupted_command_says_how_to_go_on(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ponder.cli._app import run

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rl, "_learn", interrupt)
    words = ["train", "rl", "--from", str(start), "--task", CHAIN, "--out", str(tmp_path / "out")]
    assert run([*words, "--ledger", str(tmp_path / "ledger.sqlite"), "--eval-problems", "2"]) == 130
    assert "run the same command again to continue" in capsys.readouterr().err
    with Ledger.open(tmp_path / "ledger.sqlite", write=False) as store:
        assert [event.kind for event in store.events(store.runs()[0].id)] == ["started", "interrupted"]
