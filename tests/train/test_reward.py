"""A process reward model, really trained: it learns, stock transformers load it, searches use it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from ponder.config import Settings
from ponder.core import Budget, Message, Prompt, Request
from ponder.engines import open_engine
from ponder.engines.reward_folder import RewardFolderEngine, RewardNet
from ponder.engines.scripted import ScriptedEngine
from ponder.errors import CallFailed, CheckpointInvalid, InputError, ModelError, UnknownName
from ponder.ledger import Ledger, StageRow, verify
from ponder.solve import Limits, Meter, Solver
from ponder.strategies import plan
from ponder.tasks import load
from ponder.train.calibration import calibration
from ponder.train.learning import schedule
from ponder.train.models import Checkpoint, new_model, write_checkpoint
from ponder.train.record import checkpoints_in
from ponder.train.reward import MODEL, RESULT, RewardResult, RewardSettings, train_reward
from ponder.train.reward_model import encode, fit_rewards, new_reward_model
from ponder.train.reward_paths import Marked
from ponder.train.supervised import Schedule
from ponder.verifiers import scorer
from tests.train.teachers import SHAPE, TASK, damaged

pytestmark = pytest.mark.usefixtures("one_thread")

FORM = {"reward": {"question_end": ":", "step_end": "\n"}}


def chosen(start: Path, **changes: Any) -> RewardSettings:
    usual: dict[str, Any] = {
        "task": TASK, "problems": 24, "rollouts": 4, "replies": 3, "eval_problems": 12,
    }  # fmt: skip
    return RewardSettings(start, **{**usual, **changes})


def learn(place: Path, settings: RewardSettings) -> tuple[RewardResult, list[StageRow]]:
    with Ledger.open(place / "ledger.sqlite", write=True) as store:
        result = train_reward(settings, ledger=store, out=place / "out", processes=1, device="cpu")
        return result, store.stages(result.run)


@pytest.fixture(scope="module")
def adder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A solver that gets some of its answers right."""
    return damaged(tmp_path_factory.mktemp("adder") / "adder", 0.25)


@pytest.fixture(scope="module")
def finished(
    adder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RewardResult, list[StageRow]]:
    place = tmp_path_factory.mktemp("finished")
    return place, *learn(place, chosen(adder))


def test_every_flop_is_on_the_ledger_by_stage(finished: tuple[Path, RewardResult, list[StageRow]]) -> None:
    place, result, rows = finished
    assert {row.stage for row in rows} == {"rollouts", "reward_model", "evaluation"}
    for stage, amount in result.flop.items():
        assert sum(row.flop or 0 for row in rows if row.stage == stage) == pytest.approx(amount)
    (fit,) = [row for row in rows if row.stage == "reward_model"]
    assert fit.flop is not None
    assert fit.flop_counted == pytest.approx(fit.flop, rel=0.02)
    assert [row.position for row in rows] == list(range(len(rows)))
    assert verify(place / "ledger.sqlite").ok


def test_a_rerun_does_nothing_twice(adder: Path, finished: tuple[Path, RewardResult, list[StageRow]]) -> None:
    place, result, rows = finished
    again, same_rows = learn(place, chosen(adder))
    assert again == result
    assert same_rows == rows
    assert json.loads((place / "out" / RESULT).read_text()) == json.loads(json.dumps(result.to_json()))


def test_stock_transformers_load_it_and_say_the_same(
    finished: tuple[Path, RewardResult, list[StageRow]],
) -> None:
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    folder = finished[0] / "out" / MODEL
    model = AutoModelForTokenClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("7+5-3:7+5=12\n12-3=9\n", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        chances = torch.sigmoid(model(input_ids=ids).logits[0, :, 0])
    net = RewardNet.open(folder)
    row = net.encode("7+5-3", ["7+5=12", "12-3=9"])
    assert [ids[0, place].item() for place in row.places] == [net._end] * 2
    longer = net.encode("7+5-3", ["7+5=12", "12-3=9", "9+0=9"])
    told = net.rewards([longer, row])[1]
    assert told == pytest.approx([chances[place].item() for place in row.places], abs=1e-5)
    marked = Marked(0, "7+5-3", ("7+5=12", "12-3=9"), (0.0, 0.0))
    assert encode(marked, ":") == row


def test_it_is_no_solver_to_be_recorded(finished: tuple[Path, RewardResult, list[StageRow]]) -> None:
    with pytest.raises(InputError, match=r"holds none"):
        checkpoints_in(finished[0] / "out", TASK)


# ---------------------------------------------------------------- learning


def made_up(count: int, seed: int) -> list[Marked]:
    """Replies whose steps are worth something exactly where they add."""
    rng, found = Random(seed), list[Marked]()
    for at in range(count):
        signs = [rng.choice("+-") for _ in range(2)]
        steps = tuple(f"{rng.randrange(9)}{sign}{rng.randrange(9)}={rng.randrange(9)}" for sign in signs)
        found.append(Marked(at, "1+2", steps, tuple(0.9 if sign == "+" else 0.1 for sign in signs)))
    return found


@pytest.fixture(scope="module")
def untrained() -> Checkpoint:
    return Checkpoint(new_model(SHAPE, 0), None, SHAPE, {})


def test_it_learns_what_steps_are_worth(untrained: Checkpoint, tmp_path: Path) -> None:
    model, texts = new_reward_model(untrained, 0), made_up(400, 1)
    rows = [encode(each, ":") for each in texts]
    tokens = 20 * sum(len(row.ids) for row in rows)
    lesson = Schedule(tokens, 1e-2, warm_up=tokens // 20, decay=tokens // 5, batch=512)
    fitted = fit_rewards(model, rows, [each.worth for each in texts], lesson, seed=0)
    assert fitted.work.tokens >= tokens
    assert fitted.counted_ratio == pytest.approx(1, abs=0.02)
    write_checkpoint(tmp_path / "r", model, FORM, dtype="float32")
    net, fresh = RewardNet.open(tmp_path / "r"), made_up(100, 2)
    told = net.rewards([net.encode(each.question, each.steps) for each in fresh])
    flat = [
        (each.problem, chance, worth)
        for each, chances in zip(fresh, told, strict=True)
        for chance, worth in zip(chances, each.worth, strict=True)
    ]
    problems, chances, worth = zip(*flat, strict=True)
    found = calibration(problems, chances, worth)
    assert found.brier.high < found.constant.low
    assert found.within is not None
    assert found.within.low > 0.8


def test_a_head_alone_leaves_the_trunk_as_it_is(untrained: Checkpoint) -> None:
    import torch

    model, texts = new_reward_model(untrained, 0), made_up(20, 1)
    rows = [encode(each, ":") for each in texts]
    head = model.score.weight.clone()
    fitted = fit_rewards(
        model, rows, [each.worth for each in texts], schedule(2000, 1e-2), seed=0, trunk=False
    )
    assert fitted.counted_ratio == pytest.approx(1, abs=0.02)
    assert not torch.equal(model.score.weight, head)
    for name, tensor in untrained.model.model.state_dict().items():
        assert torch.equal(model.model.state_dict()[name], tensor)


# ---------------------------------------------------------------- serving


@pytest.fixture(scope="module")
def folder(untrained: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("reward") / "reward"
    write_checkpoint(place, new_reward_model(untrained, 0), FORM, dtype="float32")
    return place


def asked(*steps: str, question: str = "7+5-3") -> Request:
    turns = [Message("user", question), *(Message("assistant", step) for step in steps)]
    return Request(Prompt(tuple(turns)), max_tokens=1)


async def test_calls_side_by_side_are_answered_alike_and_counted(folder: Path) -> None:
    engine = await open_engine(str(folder), Settings())
    assert isinstance(engine, RewardFolderEngine)
    requests = [asked(*["7+5=12"] * n) for n in range(1, 6)]
    calls = [engine.start(request) for request in requests]
    told = [await call.result() for call in calls]
    net = RewardNet.open(folder)
    for n, (request, generation) in enumerate(zip(requests, told, strict=True), 1):
        row = net.encode("7+5-3", ["7+5=12"] * n)
        assert json.loads(generation.outputs[0].text) == pytest.approx(net.rewards([row])[0], abs=1e-5)
        usage = generation.attempts[0].usage
        assert (usage.prompt_tokens, usage.completion_tokens) == (len(row.ids), 0)
        assert engine.prompt_tokens_bound(request.prompt) == len(row.ids)
    assert engine.model.shape == SHAPE
    await engine.close()
    assert isinstance((await engine.start(requests[0]).result()).error, CallFailed)


@pytest.mark.parametrize("strategy", ["beam", "diverse_beam", "particles", "tree"])
async def test_searches_are_guided_by_it_within_their_budget(folder: Path, strategy: str) -> None:
    (problem,) = load(TASK, problems=1, seed=0).problems
    solver = ScriptedEngine.drawing({"7+5=12\n": 1.0, "12-3=9\n": 1.0, "9+1=10": 1.0})
    reward = RewardFolderEngine(folder)
    budget = Budget(tokens=600)
    meter = Meter(budget)
    ready = Solver(
        {"solver": solver, "reward": reward}, scorers={"process": scorer("process")}, limits=Limits(seed=0)
    )
    solution = await ready.run(plan(f"{strategy}:by=process,n=4,depth=3"), problem.question, meter)
    await reward.close()
    assert solution.usage.tokens is not None
    assert 0 < solution.usage.tokens <= 600
    assert solution.usage.calls > solver.calls  # the others are the reward model's


def changed(folder: Path, place: Path, change: Callable[[Path], None]) -> Path:
    shutil.copytree(folder, place)
    change(place)
    return place


def test_folders_that_do_not_fit_together_are_refused(adder: Path, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointInvalid, match=r"is no reward model"):
        RewardNet.open(adder)
    nameless = changed(folder, tmp_path / "a", lambda path: (path / "ponder.json").write_text("{}"))
    with pytest.raises(CheckpointInvalid, match=r"says how its texts are put together"):
        RewardNet.open(nameless)

    def more_letters(path: Path) -> None:
        tokenizer = json.loads((path / "tokenizer.json").read_text())
        tokenizer["model"]["vocab"]["A"] = 99
        (path / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(CheckpointInvalid, match=r"put the tokenizer there that the model was trained with"):
        RewardNet.open(changed(folder, tmp_path / "b", more_letters))

    def two_labels(path: Path) -> None:
        config = json.loads((path / "config.json").read_text())
        config["id2label"], config["label2id"] = {"0": "a", "1": "b"}, {"a": 0, "b": 1}
        (path / "config.json").write_text(json.dumps(config))

    with pytest.raises(ModelError, match=r"are no reward model's|cannot be loaded"):
        RewardNet.open(changed(folder, tmp_path / "c", two_labels))


async def test_a_solver_of_other_texts_is_told_so(folder: Path) -> None:
    engine = RewardFolderEngine(folder)
    generation = await engine.start(asked("Then 7 + 5 = 12", question="What is 7 + 5?")).result()
    assert isinstance(generation.error, CallFailed)
    assert "its tokenizer is for other texts than the solver's" in str(generation.error)
    assert generation.attempts[0].usage.prompt_tokens == 0
    long = await engine.start(asked(*["7+5=12"] * 200)).result()
    assert "lower --max-tokens" in str(long.error)
    await engine.close()


def test_settings_that_cannot_be(adder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^rollouts: it must be at least 1"):
        chosen(adder, rollouts=0)
    with pytest.raises(UnknownName, match=r"countdown"):
        chosen(adder, task="countdown")
    with pytest.raises(CheckpointInvalid, match=r"lacks config.json"):
        learn(tmp_path, chosen(tmp_path))
