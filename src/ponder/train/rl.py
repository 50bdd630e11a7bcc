"""Reinforcement learning with verifiable rewards: GRPO (Shao et al. 2024, arXiv 2402.03300) by TRL's trainer.

A task's own verifier is the reward, problems to learn from and held-out ones never meet, and the policy is
scored before, along the way and after: pass@1 tells what it does, pass@k what it could do, so that learning
something new is told from sharpening what was there. A run can be killed at any time and started again.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.core import Model, Prompt, digest
from ponder.engines._torch_folder import ModelFolder, read_folder
from ponder.engines._torch_text import Text
from ponder.errors import CheckpointInvalid, InputError, MissingExtra
from ponder.ledger import Ledger, RunRecorder
from ponder.tasks import Problem
from ponder.train import devices
from ponder.train.held_out import Verifier, raw_prompt
from ponder.train.models import TRAINING, is_checkpoint, read_training, require_training, write_checkpoint
from ponder.train.rl_cost import Cost
from ponder.train.rl_result import RlResult, result_of, summary
from ponder.train.rl_state import Book, Progress, replace_text
from ponder.train.rl_team import Team
from ponder.train.sides import Sides, sides

__all__ = ["RESULT", "RlPlan", "RlResult", "RlSettings", "Tell", "follow_rl", "plan_rl", "train_rl"]

RESULT = "rl.json"
"""The result's file, in the checkpoint's folder."""

Tell = Callable[[int, Mapping[str, float]], None]
"""Told of each step and each evaluation: the step, and what is known of it."""

_EVALUATIONS = 10
_DONE = -1


@dataclass(frozen=True, slots=True)
class RlSettings:
    """How to learn. `model` is a Hugging Face folder. Each of `steps` steps draws `group` completions of each
    of `prompts` prompts, and learns from them `iterations` times, `rows` completions a pass.

    `beta` weighs the divergence from the start in the loss; `format_reward` is paid for an answer in the
    right form, on top of 1 for a right one. `lora` trains adapters of `rank` instead of all weights. The
    policy is scored every `eval_every` steps by `eval_samples` replies to each of `eval_problems` held-out
    problems. `vllm` makes the completions of the steps by vLLM, on the GPU that learns.
    """

    model: Path
    task: str
    steps: int = 200
    group: int = 16
    prompts: int = 16
    learning_rate: float = 1e-4
    beta: float = 0.0
    iterations: int = 1
    temperature: float = 1.0
    format_reward: float = 0.0
    lora: bool = False
    rank: int = 16
    rows: int | None = None
    max_tokens: int | None = None
    eval_every: int | None = None
    eval_problems: int = 100
    eval_samples: int = 64
    save_every: int = 10
    seed: int = 1
    vllm: bool = False

    def __post_init__(self) -> None:
        for name in ("steps", "prompts", "iterations", "rank", "eval_problems", "eval_samples", "save_every"):
            _at_least(name, getattr(self, name), 1)
        _at_least("group", self.group, 2)
        for name in ("rows", "max_tokens", "eval_every"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        for name, least in (("learning_rate", 0.0), ("temperature", 0.0)):
            if not least < getattr(self, name) < float("inf"):
                raise InputError(f"{name}: it must be a positive number, not {getattr(self, name):g}.")
        for name in ("beta", "format_reward"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise InputError(f"{name}: it must be a number of at least 0, not {getattr(self, name):g}.")
        if self.completions % self.pass_rows:
            raise InputError(
                f"rows: {self.rows} do not divide the {self.completions} completions of a step "
                f"({self.prompts} prompts of {self.group}); give a divisor of {self.completions}."
            )

    @property
    def completions(self) -> int:
        """Completions a step."""
        return self.prompts * self.group

    @property
    def pass_rows(self) -> int:
        """Completions a pass."""
        return self.rows or self.completions

    @property
    def every(self) -> int:
        """Steps between two evaluations."""
        return self.eval_every or max(1, self.steps // _EVALUATIONS)

    def config(self, model: Model) -> dict[str, Any]:
        """What a run is bound to."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"eval_every": self.every}
        if not self.vllm:  # as runs were bound before there was a choice
            del values["vllm"]
        return {"kind": "train", "verb": "rl", **values, "model": model.name, "weights": model.fingerprint}


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"{name}: it must be at least {least}, not {value}.")


@dataclass(frozen=True, slots=True)
class RlPlan:
    """The most that a run can take: every completion as long as it may be. FLOP by part."""

    steps: int
    completions: int
    prompt_tokens: int
    max_tokens: int
    flop: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_rl(settings: RlSettings) -> RlPlan:
    """What a run would take at most. Trains nothing. Raises what `train_rl` raises before it starts."""
    _require()
    folder = read_folder(settings.model)
    cost, text = Cost(folder.model), Text(settings.model, folder.config)
    both = _sides(settings)
    prompt = max(len(text.encode(Prompt((), raw_prompt(text, p)))) for p in both.learned[: settings.prompts])
    longest = settings.max_tokens or max(p.question.max_tokens for p in both.learned)
    rows, rounds = settings.completions, -(-settings.steps // settings.iterations)
    score = cost.scoring(rows, prompt, longest, rows * longest, adapted=False)
    replies = len(both.held_out) * settings.eval_samples
    evaluations = 1 + settings.steps // settings.every + (settings.steps % settings.every > 0)
    flop = {
        "rollouts": rounds * cost.generation(rows, prompt, longest),
        "old": rounds * score if settings.iterations > 1 or settings.vllm else 0.0,
        "reference": rounds * score if settings.beta > 0 else 0.0,
        "update": settings.steps * cost.update(rows, prompt, longest, rows * longest),
        "evaluation": evaluations * cost.generation(replies, prompt, longest),
    }
    return RlPlan(settings.steps, rows, prompt, longest, flop)


def train_rl(
    settings: RlSettings,
    *,
    ledger: Ledger,
    out: Path | Callable[[str], Path],
    run: str | None = None,
    device: str = "auto",
    tell: Tell | None = None,
) -> RlResult:
    """Learn, and write the trained policy to `out` (a folder, or what makes one of the run's name): a
    checkpoint that stock transformers loads, with `ponder.json` and the result's `rl.json` in it. Everything
    that it took is booked on `ledger`.

    What is needed to go on after a kill lies beside it, in `OUT.state`. A run that is finished is not done
    again: its result is returned.

    Where `accelerate launch` started several processes this is for the first alone, and `follow_rl` for the
    others; what all of them took is booked here.

    Raises MissingExtra; CheckpointInvalid for a folder that is incomplete or does not fit together;
    InputError for a task without a verifier or without held-out problems; RunChanged; TrainingDiverged;
    OutOfMemory; LedgerError.
    """
    with _joined(settings, device) as task:
        recorder = ledger.run(run or _name(task.config), task.config)
        target = out(recorder.run_id) if callable(out) else out
        book = task.book(target, recorder, first=len(ledger.stages(recorder.run_id)))
        place = book.resume()
        done = place == book.folder
        task.team.agreed(_DONE if done else 0 if place is None else book.progress.step)
        try:
            if done:
                result = _finished(settings, recorder.run_id, target, book.progress)
            else:
                _learn(settings, task, book, place, tell or _untold)
                result = result_of(settings, recorder.run_id, target, book.progress)
                _write(settings, result, book)
        except BaseException:
            recorder.event("interrupted")
            raise
    recorder.event("finished", {"verb": "rl", "checkpoint": str(target), **summary(result)})
    book.finish()
    return result


def follow_rl(
    settings: RlSettings, *, out: Path | Callable[[str], Path], run: str | None = None, device: str = "auto"
) -> None:
    """Learn from this process's share of a run of several, beside the first one's `train_rl` of the same
    arguments. Raises what that raises before it starts, TrainingDiverged and OutOfMemory."""
    with _joined(settings, device) as task:
        name = run or _name(task.config)
        book = task.book(out(name) if callable(out) else out, None, first=0)
        step = task.team.agreed(0)
        if step == _DONE:
            return
        book.progress.step = step
        _learn(settings, task, book, book.folder / f"checkpoint-{step}" if step else None, _untold)


def _untold(step: int, notes: Mapping[str, float]) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Task:
    """What every process of a run begins with."""

    folder: ModelFolder
    device: str
    sides: Sides
    team: Team
    config: Mapping[str, Any]

    def book(self, target: Path, recorder: RunRecorder | None, *, first: int) -> Book:
        return Book(
            target.with_name(target.name + ".state"),
            recorder,
            config=digest(dict(self.config)),
            model=self.folder.model.name,
            device=devices.described(self.device, self.team.size),
            method=Cost(self.folder.model).method,
            first=first,
        )


@contextmanager
def _joined(settings: RlSettings, device: str) -> Iterator[_Task]:
    """Check what can be checked, and find the other processes. Raises what `train_rl` does."""
    _require()
    folder = read_folder(settings.model)
    where = _device(device)
    if settings.vllm and (where == "cpu" or find_spec("vllm") is None):
        raise InputError("vllm: it needs a GPU and `pip install vllm`; leave --vllm out to do without.")
    Cost(folder.model)  # refuses a model that cannot be counted before anything is written
    both, team = _sides(settings), Team(where)
    try:
        config = settings.config(folder.model)
        if team.size > 1:
            config["processes"] = team.size
        if settings.pass_rows % team.size:
            raise InputError(
                f"rows: {settings.pass_rows} completions a pass cannot be shared among {team.size} "
                "processes; give a multiple."
            )
        yield _Task(folder, where, both, team, config)
    finally:
        team.close()


def _require() -> None:
    """Raise MissingExtra where the parts are not installed."""
    require_training()
    try:
        import datasets
        import peft
        import trl
    except ImportError:
        raise MissingExtra("Reinforcement learning", "train") from None
    del datasets, peft, trl


def _device(wanted: str) -> str:
    """Where to train. Raises InputError for a GPU that is not there, and for several in one process: TRL
    learns on one a process."""
    import torch

    device = devices.choose(wanted)
    if device == "cuda" and torch.cuda.device_count() > 1 and "LOCAL_RANK" not in os.environ:
        raise InputError(
            "device: several GPUs are visible; start a process for each with `accelerate launch --multi_gpu "
            "-m ponder train rl ...`, or choose one with CUDA_VISIBLE_DEVICES=0."
        )
    return device


def _sides(settings: RlSettings) -> Sides:
    needed = settings.prompts * (-(-settings.steps // settings.iterations) + 1)
    found = sides(settings.task, learned=needed, held_out=settings.eval_problems, seed=settings.seed)
    for problem in (found.learned[0], found.held_out[0]):
        _check_verifier(found, problem)
    return found


def _check_verifier(found: Sides, problem: Problem) -> None:
    """Refuse a task whose answers nothing can check, before anything is drawn for it."""
    verifier = Verifier(found.grader)
    try:
        verifier.right(problem, problem.key)
    except InputError as error:
        raise InputError(
            f"task: {found.name} has no verifier to be rewarded by ({error}); choose another task."
        ) from None
    finally:
        verifier.close()


def _name(config: Mapping[str, Any]) -> str:
    model = re.sub(r"[^A-Za-z0-9._-]", "-", str(config["model"]))[:24].lstrip("._-") or "model"
    return f"rl-{model}-{digest(dict(config))[:8]}"


def _learn(settings: RlSettings, task: _Task, book: Book, place: Path | None, tell: Tell) -> None:
    """Everything that takes time: the evaluation before the first step, and the steps that are left."""
    from ponder.train.rl_trainer import Learner, quiet

    with quiet():
        learner = Learner(
            settings,
            task.sides,
            text=Text(settings.model, task.folder.config),
            tokenizer=_tokenizer(settings.model),
            cost=lambda adapters: Cost(task.folder.model, adapters, compact=task.device == "cuda"),
            book=book,
            device=task.device,
            team=task.team,
            tell=tell,
        )
        try:
            learner.check_room()
            if place is None:
                learner.evaluate_start()
            if book.progress.step < settings.steps:
                learner.learn(place)
        finally:
            learner.close()


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise CheckpointInvalid(f"The tokenizer in {folder} has no end token; set its eos_token.")
    return tokenizer


# ---------------------------------------------------------------- the result


def _write(settings: RlSettings, result: RlResult, book: Book) -> None:
    """The trained policy as a checkpoint, with the result in it."""
    from ponder.train.rl_trainer import quiet, trained_policy

    with quiet():
        last = book.folder / f"checkpoint-{settings.steps}"
        policy = trained_policy(settings.model, last, lora=settings.lora)
        start = getattr(_configuration(settings.model), "dtype", None)
        dtype = str(start).removeprefix("torch.") if start is not None else "float32"
        write_checkpoint(
            result.out, policy, _training(settings, result), dtype=dtype, tokenizer=_tokenizer(settings.model)
        )
    replace_text(result.out / RESULT, json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n")


def _configuration(folder: Path) -> Any:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def _training(settings: RlSettings, result: RlResult) -> dict[str, Any]:
    """`ponder.json`: how the start was trained, and what reinforcement learning added."""
    before = read_training(settings.model) if is_checkpoint(settings.model) else {}
    kept = {
        name: value for name, value in before.items() if name not in ("booked", "trunk", "trunk_repeated")
    }
    stages = [
        {
            "stage": "rollouts" if part == "rollouts" else "rl_update",
            "part": part,
            "samples": work.examples,
            "tokens": work.tokens,
            "padded_tokens": work.positions,
            "flop": work.flop,
            "seconds": work.seconds,
        }
        for part, work in result.work.items()
        if part != "evaluation"
    ]
    return {
        **kept,
        "ponder": __version__,
        "name": result.out.name,
        "start": before.get("name", settings.model.name),
        "run": result.run,
        "rl": {
            "task": settings.task,
            "steps": settings.steps,
            "learning_rate": settings.learning_rate,
            "beta": settings.beta,
            "group": settings.group,
            "prompts": settings.prompts,
            "lora": settings.lora,
        },
        "stages": [*before.get("stages", []), *stages],
    }


def _finished(settings: RlSettings, run: str, out: Path, progress: Progress) -> RlResult:
    """The result of a run that was finished before. Raises InputError where its checkpoint is gone."""
    if not (out / TRAINING).is_file():
        raise InputError(
            f"out: run {run!r} is finished, but {out} is gone; give another --run to train it again."
        )
    return result_of(settings, run, out, progress)
