"""Supervised training: it learns, goes on where it was killed, and stops before the weights are lost."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pad = torch.nn.functional.pad

from ponder.errors import (  # noqa: E402
    CheckpointInvalid,
    InputError,
    OutOfMemory,
    RunChanged,
    TrainingDiverged,
)
from ponder.flop import training_step_flop  # noqa: E402
from ponder.measure.intervals import resample_differences  # noqa: E402
from ponder.tasks import load  # noqa: E402
from ponder.tasks.chars import Example  # noqa: E402
from ponder.train import state as states  # noqa: E402
from ponder.train.batches import Batch, batches  # noqa: E402
from ponder.train.models import PAD, new_model  # noqa: E402
from ponder.train.state import Work  # noqa: E402
from ponder.train.supervised import Schedule, Watch, _backward, fit  # noqa: E402
from tests.train.small import (  # noqa: E402
    SHAPE,
    TASK,
    greedy,
    same,
    schedule,
    stream,
    train,
    weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def right(model: Any, problems: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Which held-out problems are answered rightly, 1 or 0 each."""
    asked = load(TASK, problems=problems, seed=0).problems
    replies = greedy(model, [problem.question.prompt.text or "" for problem in asked], 6)
    pairs = zip(replies, asked, strict=True)
    return np.array([float(reply == problem.key + ".") for reply, problem in pairs])


def test_training_lowers_the_loss_and_held_out_problems_are_answered_better() -> None:
    seen: list[Watch] = []
    model = new_model(SHAPE, 0)
    before = right(model, 200)
    done = fit(model, stream, schedule(240_000, decay=120_000), watch=seen.append)
    after = right(model, 200)
    assert done.loss < 1.5 < math.log(SHAPE.vocab) - 2
    low, high = resample_differences((after - before)[:, None], level=0.99, rng=np.random.default_rng(0))
    assert low[0] > 0.02, (before.mean(), after.mean(), low, high)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    plan = Schedule(tokens=1000, learning_rate=2.0, warm_up=100, decay=400, batch=10)
    rates = [plan.rate(done) for done in range(0, 1001, 10)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert set(rates[10:60]) == {2.0}
    assert rates[80] == pytest.approx(1.0)
    assert rates[100] == 0.0


def test_tokens_positions_and_flop_are_those_of_the_batches() -> None:
    _, done = train(20_000)
    made = list(islice(batches(stream, tokens=2048), done.work.steps))
    assert done.work.tokens == sum(batch.tokens for batch, _ in made) >= 20_000
    assert done.work.tokens - made[-1][0].tokens < 20_000
    assert done.work.positions == sum(batch.positions for batch, _ in made)
    assert done.work.examples == sum(batch.rows for batch, _ in made)
    parts = [part for batch, _ in made for part in batch.parts]
    flop = sum(training_step_flop(SHAPE, p.rows, p.length, logits=int((p.labels >= 0).sum())) for p in parts)
    assert done.work.flop == pytest.approx(flop)
    assert done.counted_ratio == pytest.approx(1.0, abs=0.02)


def gradients(model: Any, batch: Batch) -> tuple[float, dict[str, torch.Tensor]]:
    """The loss of a step by parts, and its gradients."""
    model.zero_grad()
    loss = sum(float(_backward(model, part, batch.targets)) for part in batch.parts)
    return loss, {name: p.grad.clone() for name, p in model.named_parameters()}


def test_a_step_in_parts_without_masks_is_the_stock_step_on_the_padded_whole() -> None:
    texts = [
        Example("7+5-3*2:", "7+5=12\n12-3=9\n9*2=18.", "a"),
        *[Example("1#", "1.", "b")] * 9,
        *islice(stream(0), 40),
    ]
    ((batch, _),) = batches(lambda start: iter(texts[start:]), tokens=10_000)
    assert len(batch.parts) > 1
    length = max(part.length for part in batch.parts)
    padding = [(0, length - part.length) for part in batch.parts]
    ids = torch.cat([pad(p.ids, by) for p, by in zip(batch.parts, padding, strict=True)])
    labels = torch.cat([pad(p.labels, by, value=-100) for p, by in zip(batch.parts, padding, strict=True)])
    model = new_model(SHAPE, 0)
    loss, ours = gradients(model, batch)
    model.zero_grad()
    stock = model(input_ids=ids, attention_mask=(ids != PAD).long(), labels=labels, shift_labels=labels).loss
    torch.autograd.backward(stock)
    assert loss == pytest.approx(stock.item(), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.allclose(ours[name], parameter.grad, rtol=1e-3, atol=1e-6), name


# ---------------------------------------------------------------- killed and continued

SCRIPT = """
import sys, time, torch
from pathlib import Path
torch.set_num_threads(1)
from ponder.train import supervised
from tests.train.small import train
supervised._SAVE_SECONDS = 0.2
supervised._TELL_SECONDS = 0.05
model, done = train(int(sys.argv[1]), Path(sys.argv[2]), decay=30_000)
print("done", done.repeated.tokens, done.work.tokens)
"""


def test_a_killed_training_ends_with_the_same_weights_bit_for_bit(tmp_path: Path) -> None:
    tokens, state = 400_000, tmp_path / "killed" / "state.safetensors"
    command = [sys.executable, "-c", SCRIPT, str(tokens), str(state)]
    kills = 0
    for _ in range(3):
        had = _stamp(state)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
        try:
            while process.poll() is None and not (_stamp(state) != had and _steps_after_save(state)):
                time.sleep(0.01)
        finally:
            process.kill()
            kills += process.wait() == -signal.SIGKILL
    assert kills >= 2
    ended = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    repeated, made = map(int, ended.stdout.split()[1:])
    undisturbed, whole = train(tokens, decay=30_000)
    continued = new_model(SHAPE, 0)
    again = fit(continued, stream, schedule(tokens, decay=30_000), state=state, identity={"task": TASK})
    assert same(weights(continued), weights(undisturbed))
    assert made == again.work.tokens == whole.work.tokens
    assert (again.work.flop, again.loss) == (whole.work.flop, whole.loss)
    assert whole.repeated == Work()
    assert 0 < repeated < 3 * tokens
    assert repeated == again.repeated.tokens


def _steps_after_save(state: Path) -> int:
    """The steps that a kill now would make to be done twice."""
    from safetensors import safe_open

    with safe_open(state, framework="pt") as file:
        saved = json.loads(file.metadata()["ponder"])["work"]["steps"]
    told = states.told(state)
    return 0 if told is None else told.steps - int(saved)


def _stamp(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    _, first = train(8_000, state)
    stamp = _stamp(state)
    _, second = train(8_000, state)
    assert second.work == first.work
    assert _stamp(state) == stamp


def test_a_branch_anneals_a_copy_and_the_trunk_goes_on(tmp_path: Path) -> None:
    trunk, branch = tmp_path / "trunk.safetensors", tmp_path / "branch.safetensors"
    train(8_000, trunk)
    states.copy(trunk, branch)
    annealed, _ = train(16_000, branch, decay=8_000)
    grown, _ = train(16_000, trunk)
    straight, _ = train(16_000)
    assert same(weights(grown), weights(straight))
    assert not same(weights(annealed), weights(straight))


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"learning_rate": 5e-3}, "learning_rate"), ({"batch": 1024}, "batch"), ({"loss_on": "all"}, "loss_on")],
)
def test_a_changed_schedule_is_refused(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    state = tmp_path / "state.safetensors"
    train(4_000, state)
    with pytest.raises(RunChanged, match=f"^{named}: .*another folder"):
        train(8_000, state, **changes)


def test_annealing_that_has_begun_is_not_bent(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    train(8_000, state, decay=6_000)
    with pytest.raises(RunChanged, match=r"^decay: "):
        train(16_000, state, decay=0)


def test_another_identity_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    train(4_000, state)
    with pytest.raises(RunChanged, match=r"^task: .* not 'another'"):
        fit(new_model(SHAPE, 0), stream, schedule(8_000), state=state, identity={"task": "another"})


def test_another_shape_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    train(4_000, state)
    wider = new_model(replace(SHAPE, d_ff=96), 0)
    with pytest.raises(CheckpointInvalid, match="does not fit the model"):
        fit(wider, stream, schedule(8_000), state=state, identity={"task": TASK})


@pytest.mark.parametrize("damage", ["cut", "empty", "no progress", "wrong progress"])
def test_a_broken_state_is_one_sentence(tmp_path: Path, damage: str) -> None:
    from safetensors.torch import load_file, save_file

    state = tmp_path / "state.safetensors"
    train(4_000, state)
    if damage == "cut":
        state.write_bytes(state.read_bytes()[:-500])
    elif damage == "empty":
        state.write_bytes(b"")
    else:
        told = {} if damage == "no progress" else {"ponder": json.dumps({"work": {"steps": -1}})}
        save_file(load_file(state), state, metadata=told)
    with pytest.raises(CheckpointInvalid, match="remove it to begin again"):
        train(8_000, state)


# ---------------------------------------------------------------- what goes wrong


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    state = tmp_path / "state.safetensors"
    model = new_model(SHAPE, 0)
    kept: list[dict[str, torch.Tensor]] = []

    def spoil(module: Any, arguments: Any, output: torch.Tensor) -> torch.Tensor | None:
        kept.append(weights(model))
        return output * float("nan") if len(kept) == 6 else None

    model.lm_head.register_forward_hook(spoil)
    with pytest.raises(TrainingDiverged, match=r"loss became nan .* at step 5; lower 0.01.* kept in"):
        fit(model, stream, schedule(40_000), state=state, identity={"task": TASK})
    # The first pass only counts operations, so that the sixth is step 5.
    assert same(weights(model), kept[-1])
    again = new_model(SHAPE, 0)
    done = fit(again, stream, schedule(7_000), state=state, identity={"task": TASK})
    assert done.work.steps == 4
    assert same(weights(again), kept[-1])


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_a_batch_that_does_not_fit_says_which_to_try(error: Exception) -> None:
    model = new_model(SHAPE, 0)

    def full(*_: Any) -> None:
        raise error

    model.model.register_forward_hook(full)
    with pytest.raises(OutOfMemory, match="2,048 tokens a step do not fit into memory; try 1,024"):
        fit(model, stream, schedule(4_000))


def test_examples_that_end_too_early_are_told() -> None:
    with pytest.raises(InputError, match=r"ended after [0-9,]+ of 900,000 tokens"):
        fit(new_model(SHAPE, 0), lambda start: islice(stream(0), start, 50), schedule(900_000))


@pytest.mark.parametrize("changes", [{"tokens": 0}, {"learning_rate": -1.0}, {"batch": 0}, {"decay": 5_000}])
def test_a_schedule_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(changes))):
        schedule(**{"tokens": 4_000, **changes})
