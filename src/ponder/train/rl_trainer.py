"""TRL's GRPO trainer with a task's verifier for its reward, and everything that it does booked.

TRL computes; this file says when to roll out, grade, evaluate, save and stop. Times of a step's parts come
from the places where TRL calls back: rollouts, then scores under the old policy and the reference, then
rewards, then the update.
"""

from __future__ import annotations

import copy
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ponder.core import Prompt
from ponder.engines._torch_text import Text
from ponder.errors import InputError, MissingExtra, OutOfMemory, TrainingDiverged
from ponder.tasks import Problem
from ponder.train.counted import count_flop
from ponder.train.held_out import Score, Verifier, raw_prompt
from ponder.train.models import write_checkpoint
from ponder.train.rl_cost import Cost
from ponder.train.rl_rollouts import Rolled, Rollouts
from ponder.train.rl_state import Book, Evaluation
from ponder.train.rl_team import Team
from ponder.train.scoring import score_folder
from ponder.train.sides import Sides
from ponder.train.state import Work

try:
    import torch
    from transformers import AutoModelForCausalLM, PrinterCallback, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer
except ImportError:
    raise MissingExtra("Reinforcement learning", "train") from None

if TYPE_CHECKING:
    from ponder.train.rl import RlSettings

__all__ = ["Learner", "load_policy", "quiet", "trained_policy"]

# Beyond this size the first step is not run under the operation counter, which unfuses attention.
_COUNTED_PARAMETERS = 20_000_000
_NOTED = {
    "reward": "reward",
    "reward_std": "reward_std",
    "entropy": "entropy",
    "kl": "kl",
    "completions/mean_length": "length",
    "frac_reward_zero_std": "even_groups",
    "loss": "loss",
    "grad_norm": "gradient",
    "num_tokens": "tokens",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the libraries from reporting home, and from printing and warning on what is settled here."""
    from huggingface_hub import constants
    from transformers.utils import logging

    before = constants.HF_HUB_DISABLE_TELEMETRY, logging.get_verbosity(), logging.is_progress_bar_enabled()
    constants.HF_HUB_DISABLE_TELEMETRY = True
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        constants.HF_HUB_DISABLE_TELEMETRY = before[0]
        logging.set_verbosity(before[1])
        if before[2]:
            logging.enable_progress_bar()


def load_policy(folder: Path, device: str) -> Any:
    """The model in `folder` in float32, to learn. Nothing of the folder's own code is run."""
    return AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, use_safetensors=True, local_files_only=True, trust_remote_code=False
    ).to(device)


def trained_policy(start: Path, checkpoint: Path, *, lora: bool) -> Any:
    """The model of a TRL checkpoint; adapters are merged into the model that they were trained on."""
    if not lora:
        return load_policy(checkpoint, "cpu")
    from peft import PeftModel

    return PeftModel.from_pretrained(load_policy(start, "cpu"), checkpoint).merge_and_unload()


def _write_snapshot(model: Any, tokenizer: Any, folder: Path) -> None:
    """The policy as it is, as a folder to sample from."""
    merged = copy.deepcopy(model).merge_and_unload() if hasattr(model, "peft_config") else model
    write_checkpoint(folder, merged, {}, dtype="float32", tokenizer=tokenizer)


@dataclass(frozen=True, slots=True)
class _Graded:
    """When the last batch's rewards were worked out."""

    began: float
    ended: float


class Learner:
    """One run of GRPO, from wherever `book` says that it is, or this process's share of it.

    `tell` is told after each evaluation and each step, with the step and its notes.
    """

    def __init__(
        self,
        settings: RlSettings,
        sides: Sides,
        *,
        text: Text,
        tokenizer: Any,
        cost: Callable[[int | None], Cost],
        book: Book,
        device: str,
        team: Team,
        tell: Callable[[int, Mapping[str, float]], None],
    ) -> None:
        self.settings, self.sides, self.text, self.tokenizer = settings, sides, text, tokenizer
        self.book, self.device, self._team, self._tell = book, device, team, tell
        self.verifier = Verifier(sides.grader)
        self._cost_of = cost
        self.cost = cost(None)
        self._model: Any = None  # TRL's, with its adapters
        self._rollouts: Any = None
        self._rolled: Rolled | None = None
        self._graded = _Graded(0.0, 0.0)
        self._began = 0.0
        self._fresh = False
        self._counted_rollouts: float | None = None
        self._counting = False

    def close(self) -> None:
        self.verifier.close()

    # ---------------------------------------------------------------- evaluation

    def evaluate_start(self) -> None:
        """Score the model before the first step."""
        self._evaluate(0, self.settings.model)

    def _evaluate(self, step: int, folder: Path) -> None:
        if self._team.first:
            self._score(step, folder)
        self._team.wait()

    def _score(self, step: int, folder: Path) -> None:
        started, chosen = time.time(), self.settings
        score, work = score_folder(
            folder,
            self.sides.held_out,
            self.verifier,
            samples=chosen.eval_samples,
            temperature=chosen.temperature,
            max_tokens=self._max_tokens,
            seed=chosen.seed,
            device=self.device,
        )
        self.book.add("evaluation", work, started=started)
        self.book.progress.evaluations.append(Evaluation(step, self.book.progress.flop, score))
        self.verifier.forget()
        self._tell(step, {"pass@1": _share(score), "length": score.length})

    @property
    def _max_tokens(self) -> int:
        return self.settings.max_tokens or max(p.question.max_tokens for p in self.sides.learned)

    # ---------------------------------------------------------------- training

    def learn(self, resume: Path | None) -> None:
        """Train to the last step. Raises TrainingDiverged and OutOfMemory; the last checkpoint stays."""
        policy = load_policy(self.settings.model, self.device)
        with _room(self.settings, self.book):
            trainer = self._trainer(policy)
            self._count_first_step(trainer)
            trainer.train(resume_from_checkpoint=None if resume is None else str(resume))

    def _trainer(self, policy: Any) -> Any:
        from datasets import Dataset

        prompts = self._prompts()
        self._rollouts = Rollouts(
            self.text,
            max_tokens=self._max_tokens,
            stop=self.sides.learned[0].question.stop,
            temperature=self.settings.temperature,
            pad=self.tokenizer.pad_token_id,
            watch=self._rolled_out,
        )
        trainer = GRPOTrainer(
            policy,
            reward_funcs=self._reward(),
            args=self._arguments(),
            train_dataset=Dataset.from_dict({"prompt": prompts, "place": list(range(len(prompts)))}),
            processing_class=self.tokenizer,
            rollout_func=self._roll_out,
            peft_config=self._adapters(),
            callbacks=[_Hooks(self)],
        )
        trainer.remove_callback(PrinterCallback)
        learning = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
        self.cost = self._cost_of(learning if self.settings.lora else None)
        self._model = trainer.model
        return trainer

    def _prompts(self) -> list[str]:
        return [raw_prompt(self.text, problem) for problem in self.sides.learned]

    def check_room(self) -> None:
        """Raise InputError where replies may outgrow the model's context."""
        context = self.cost.model.context
        longest = max(len(self.text.encode(Prompt((), prompt))) for prompt in set(self._prompts()))
        if context is not None and longest + self._max_tokens > context:
            raise InputError(
                f"max_tokens: prompts of {longest} tokens and {self._max_tokens} more do not fit into the "
                f"model's {context}; give at most {context - longest}."
            )

    def _arguments(self) -> Any:
        chosen, cuda = self.settings, self.device != "cpu"
        return GRPOConfig(
            output_dir=str(self.book.folder),
            max_steps=chosen.steps,
            per_device_train_batch_size=chosen.pass_rows // self._team.size,
            gradient_accumulation_steps=chosen.completions // chosen.pass_rows,
            num_generations=chosen.group,
            num_iterations=chosen.iterations,
            max_completion_length=self._max_tokens,
            temperature=chosen.temperature,
            learning_rate=chosen.learning_rate,
            lr_scheduler_type="constant_with_warmup",
            warmup_steps=min(10, chosen.steps // 10),
            beta=chosen.beta,
            use_vllm=chosen.vllm,
            vllm_mode="colocate",
            vllm_max_model_length=self.cost.model.context,
            generation_kwargs=self._rollouts.vllm_options() if chosen.vllm else None,
            seed=chosen.seed,
            shuffle_dataset=False,
            bf16=cuda and torch.cuda.is_bf16_supported(),
            gradient_checkpointing=False,
            use_cpu=not cuda,
            dataloader_num_workers=0,
            dataloader_pin_memory=False,
            save_strategy="no",  # the callback says when
            save_total_limit=2,
            logging_steps=1,
            logging_nan_inf_filter=False,
            log_level="error",
            disable_tqdm=True,
            report_to=[],
            push_to_hub=False,
        )

    def _adapters(self) -> Any:
        if not self.settings.lora:
            return None
        from peft import LoraConfig

        rank = self.settings.rank
        return LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
        )

    def _reward(self) -> Callable[..., list[float | None]]:
        learned, extra = self.sides.learned, self.settings.format_reward

        def verified(
            completion_ids: Sequence[Sequence[int]], place: Sequence[int], **_: Any
        ) -> list[float | None]:
            """1 for what the verifier passes, and `format_reward` for an answer in the right form; None where
            the grader cannot tell, which TRL leaves out."""
            began = time.monotonic()
            rewards = list[float | None]()
            for at, ids in zip(place, completion_ids, strict=True):
                rewards.append(self._worth(learned[at], ids, extra))
            self.verifier.forget()
            self._graded = _Graded(began, time.monotonic())
            self._book_rollouts()
            return rewards

        return verified

    def _worth(self, problem: Problem, ids: Sequence[int], extra: float) -> float | None:
        choice = self.verifier.choice(problem, self.text.decode(ids))
        right = self.verifier.right(problem, choice)
        return None if right is None else float(right) + (extra if choice is not None else 0.0)

    # ---------------------------------------------------------------- what a step did

    def _roll_out(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        made: dict[str, Any]
        if self._counting:
            made, self._counted_rollouts = count_flop(lambda: self._rollouts(prompts, trainer))
        else:
            made = self._rollouts(prompts, trainer)
        return made

    def _rolled_out(self, rolled: Rolled) -> None:
        self._rolled, self._fresh = rolled, True

    def _book_rollouts(self) -> None:
        """Rollouts and the scores that followed them, as soon as they are graded."""
        rolled, graded = self._last, self._graded
        tokens = rolled.prompt_tokens + rolled.tokens
        seconds = rolled.ended - rolled.began + graded.ended - graded.began
        ago = time.time() - time.monotonic()
        work = Work(1, rolled.rows, tokens, rolled.positions, self._generating(), seconds)
        self.book.add("rollouts", self._team.summed(work), started=ago + rolled.began)
        parts = self._scored_parts()
        for part in parts:
            scoring = self._scoring(adapted=part == "old")
            shared = (graded.began - rolled.ended) / len(parts)
            width = rolled.rows * (rolled.prompt + rolled.completion)
            work = Work(1, rolled.rows, tokens, width, scoring, shared)
            self.book.add(part, self._team.summed(work), started=ago + rolled.ended)

    @property
    def _last(self) -> Rolled:
        assert self._rolled is not None, "a step begins with rollouts"
        return self._rolled

    def _scored_parts(self) -> list[Any]:
        """What TRL scores between rollouts and rewards: the old policy where completions are learned from
        more than once or vLLM made them, the reference where the loss keeps near it."""
        chosen = self.settings
        return ["old"] * (chosen.iterations > 1 or chosen.vllm) + ["reference"] * (chosen.beta > 0)

    def _generating(self) -> float:
        return sum(self.cost.generation(*grown) for grown in self._last.made)

    def _scoring(self, *, adapted: bool) -> float:
        rolled = self._last
        return self.cost.scoring(
            rolled.rows, rolled.prompt, rolled.completion, rolled.tokens, adapted=adapted
        )

    def _updating(self, share: float = 1.0) -> float:
        rolled = self._last
        rows, tokens = round(rolled.rows * share), round(rolled.tokens * share)
        return self.cost.update(rows, rolled.prompt, rolled.completion, tokens)

    def step_begins(self) -> None:
        self._began, self._fresh = time.monotonic(), False

    def step_ends(self, step: int) -> bool:
        """Book the update, and evaluate where it is time; whether to save."""
        rolled, now = self._last, time.monotonic()
        began = self._graded.ended if self._fresh else self._began
        width = rolled.rows * (rolled.prompt + rolled.completion)
        tokens = rolled.prompt_tokens + rolled.tokens
        work = Work(1, rolled.rows, tokens, width, self._updating(), now - began)
        self.book.add("update", self._team.summed(work), started=time.time() - (now - began))
        chosen = self.settings
        evaluated = step % chosen.every == 0 or step == chosen.steps
        if evaluated:
            with tempfile.TemporaryDirectory(prefix="ponder-rl-") as place:
                folder = Path(place) / "policy"
                if self._team.first:
                    _write_snapshot(self._model, self.tokenizer, folder)
                self._evaluate(step, folder)
        return evaluated or step % chosen.save_every == 0

    def saved(self, step: int) -> None:
        """A checkpoint is whole once every process has written its part of it."""
        self._team.wait()
        self.book.commit(step)

    def check_gradient(self) -> None:
        """Raise TrainingDiverged before the weights take harm."""
        gradients = [p.grad for p in self._model.parameters() if p.grad is not None]
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            raise TrainingDiverged(_diverged(self.settings, self.book))

    def note(self, step: int, logs: Mapping[str, Any]) -> None:
        """Keep what TRL tells of a step."""
        if "reward" not in logs:
            return
        told = {name: logs[key] for key, name in _NOTED.items() if logs.get(key) is not None}
        finite = {name: float(value) for name, value in told.items() if abs(float(value)) < float("inf")}
        self.book.progress.notes.append({"step": step, **finite})
        self._tell(step, finite)

    def _count_first_step(self, trainer: Any) -> None:
        """Run the first step under PyTorch's operation counter, to hold the formulas against it. It sees
        nothing of what vLLM computes."""
        large = trainer.model.num_parameters() > _COUNTED_PARAMETERS
        if self.book.progress.counted or large or self.settings.vllm:
            return
        plain = trainer.training_step

        def counted(*args: Any, **rest: Any) -> Any:
            self._counting = True
            done, total = count_flop(lambda: plain(*args, **rest))
            self._counting, trainer.training_step = False, plain
            made = self._counted_rollouts or 0.0
            learning = self._updating(self.settings.pass_rows / self.settings.completions)
            learning += sum(self._scoring(adapted=part == "old") for part in self._scored_parts())
            self.book.progress.counted = {
                "rollouts": made / self._generating(),
                "learning": (total - made) / learning,
            }
            return done

        trainer.training_step = counted


def _share(score: Score) -> float:
    return sum(score.right) / (score.samples * len(score.right))


class _Hooks(TrainerCallback):  # type: ignore[misc]
    """Passes on what TRL tells."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._learner.step_begins()

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._learner.check_gradient()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._learner.step_ends(state.global_step):
            control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self._learner.note(state.global_step, logs or {})

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._learner.saved(state.global_step)


@contextmanager
def _room(settings: RlSettings, book: Book) -> Iterator[None]:
    """Say which batch to try where memory runs out, and what to lower where nothing is a number."""
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise OutOfMemory(_smaller(settings)) from error
    except RuntimeError as error:
        if "probability tensor" in str(error):
            raise TrainingDiverged(_diverged(settings, book)) from error
        if not any(words in str(error) for words in ("allocate memory", "not enough memory")):
            raise
        raise OutOfMemory(_smaller(settings)) from error


def _diverged(settings: RlSettings, book: Book) -> str:
    kept = f" The policy of step {book.progress.step} is kept in {book.folder}." if book.progress.step else ""
    return (
        f"learning_rate: the policy's probabilities or its gradient are no numbers any more; lower "
        f"{settings.learning_rate:g}.{kept}"
    )


def _smaller(settings: RlSettings) -> str:
    rows = settings.pass_rows
    fitting = max(n for n in range(1, max(1, rows // 2) + 1) if settings.completions % n == 0)
    return (
        f"rows: {rows} completions a pass do not fit into memory; try --rows {fitting}, or fewer --prompts."
    )
