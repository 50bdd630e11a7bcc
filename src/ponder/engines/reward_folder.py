"""Process rewards from a model folder: a token-classification model with one label, as `ponder train reward`
writes it.

A request is a chat: the question, then each step of an answer as an assistant's turn of its own. They are put
together to the text that the model was trained on, in which every step ends with a line end; at these places
the model's output is the chance that the answer will be right. An output's text is the JSON list of these
numbers, as of `pooling`.
"""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ponder.core import Attempt, Capabilities, Generation, Model, Output, Prompt, Request, Shape, Usage
from ponder.engines._torch_folder import ModelFolder, read_folder, shape_and_size
from ponder.engines._torch_text import Text
from ponder.errors import CallFailed, CheckpointInvalid, MissingExtra, ModelUnsupported, PonderError

if TYPE_CHECKING:
    import torch

__all__ = ["FORM", "STEP_END", "RewardFolderEngine", "RewardNet", "Row", "is_reward_folder"]

FORM = "reward"
"""The key of `ponder.json` under which a folder says how its texts are put together."""

STEP_END = "\n"
_TRAINING = "ponder.json"
_KIND = "ForTokenClassification"
_PARALLEL = 256
_POSITIONS = 1 << 15  # that a pass computes
_GATHER_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Row:
    """A text as token ids, and the places of its steps' ends."""

    ids: tuple[int, ...]
    places: tuple[int, ...]


def is_reward_folder(folder: ModelFolder) -> bool:
    """Whether the folder's model marks tokens rather than making them."""
    kinds = folder.config.get("architectures")
    return isinstance(kinds, list) and any(str(kind).endswith(_KIND) for kind in kinds)


class RewardNet:
    """The model of a reward folder.

    Raises CheckpointInvalid for a folder that is incomplete or whose parts do not fit together,
    ModelUnsupported, MissingExtra.
    """

    def __init__(self, folder: ModelFolder, device: str = "auto") -> None:
        if not is_reward_folder(folder):
            raise CheckpointInvalid(
                f"{folder.path} is no reward model: make one with `ponder train reward`, or name another."
            )
        self.model = replace(folder.model, **_size(folder))
        self._path = folder.path
        self._mark = _question_end(folder.path)
        self._text = Text(folder.path, folder.config)
        self._net, self._device = _load(folder, device)
        self._end = self._text.encode(Prompt((), STEP_END))[-1]

    @classmethod
    def open(cls, path: Path, device: str = "auto") -> RewardNet:
        """Of the folder at `path`."""
        return cls(read_folder(path), device)

    @property
    def device(self) -> str:
        return str(self._device.type)

    def encode(self, question: str, steps: Sequence[str]) -> Row:
        """A question with the steps of an answer. Raises CallFailed for a text that the model cannot read."""
        text = question + self._mark + "".join(step + STEP_END for step in steps)
        try:
            ids = self._text.encode(Prompt((), text))
        except Exception:  # the tokenizer's own errors have no type
            ids = ()
        places = tuple(place for place, token in enumerate(ids) if token == self._end)[-len(steps) :]
        if not steps or len(places) != len(steps):
            raise CallFailed(
                f"The reward model {self.model.name} cannot read {text[:40]!r}: its tokenizer is for other "
                "texts than the solver's; train one from the solver's own checkpoint."
            )
        if len(ids) > (self.model.context or len(ids)):
            raise CallFailed(
                f"The answer has {len(ids)} tokens; {self.model.name} takes {self.model.context}: lower "
                "--max-tokens."
            )
        return Row(ids, places)

    def rewards(self, rows: Sequence[Row]) -> list[list[float]]:
        """For each row the chance, after each of its steps, that the answer will be right."""
        import torch

        told: list[list[float]] = [[] for _ in rows]
        with torch.inference_mode():
            for part in _passes(rows):
                width = max(len(rows[at].ids) for at in part)
                padded = [rows[at].ids + (0,) * (width - len(rows[at].ids)) for at in part]
                # Padding is on the right and attention causal: no real token sees it.
                logits = self._net(input_ids=torch.tensor(padded, device=self._device)).logits[..., 0]
                chances = torch.sigmoid(logits.float()).cpu()
                for line, at in zip(chances, part, strict=True):
                    told[at] = line[list(rows[at].places)].tolist()
        return told


def _passes(rows: Sequence[Row]) -> Iterator[list[int]]:
    """Rows of like length together, as many as a pass computes."""
    part: list[int] = []
    for at in sorted(range(len(rows)), key=lambda i: len(rows[i].ids)):
        if part and (len(part) + 1) * len(rows[at].ids) > _POSITIONS:
            yield part
            part = []
        part.append(at)
    if part:
        yield part


def _question_end(path: Path) -> str:
    try:
        value = json.loads((path / _TRAINING).read_text("utf-8"))[FORM]["question_end"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        value = None
    if not isinstance(value, str):
        raise CheckpointInvalid(
            f"{path} has no {_TRAINING} that says how its texts are put together: make it again with "
            "`ponder train reward`."
        )
    return value


def _size(folder: ModelFolder) -> dict[str, Any]:
    """The shape without the head, which is no part of any shape, and the parameters."""
    from safetensors import safe_open

    tensors: dict[str, tuple[int, ...]] = {}
    for path in folder.weights:
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith("score.")]  # noqa: SIM118
            tensors |= {name: tuple(file.get_slice(name).get_shape()) for name in names}
    found: tuple[Shape | None, float | None] = shape_and_size(folder.config, tensors)
    return {"shape": found[0], "active_parameters": found[1]}


def _load(folder: ModelFolder, device: str) -> tuple[Any, torch.device]:
    try:
        import torch
        from transformers import AutoModelForTokenClassification
        from transformers.utils import logging
    except ImportError:
        raise MissingExtra("The engine for reward folders", "train") from None
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        net, told = AutoModelForTokenClassification.from_pretrained(
            str(folder.path),
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ModelUnsupported(f"{folder.path} cannot be loaded ({reason}): make it again.") from None
    finally:
        if shown:
            logging.enable_progress_bar()
    absent = sorted(str(key) for key in (*told["missing_keys"], *told["mismatched_keys"]))
    if absent or net.config.num_labels != 1:
        wrong = f"{absent[0]} is missing or of another size" if absent else "it has more than one label"
        raise CheckpointInvalid(
            f"The weights in {folder.path} are no reward model's ({wrong}): make it again."
        )
    wanted = device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    place = torch.device(wanted)
    return net.to(place).eval().requires_grad_(False), place


# ---------------------------------------------------------------- the engine


@dataclass(frozen=True)
class _Job:
    """A row that waits, and the future its caller waits for."""

    row: Row
    future: Future[list[float]]


class _RewardCall:
    """One request. There is nothing to cancel: a pass over all that waits is short."""

    def __init__(self, job: _Job | None, error: PonderError | None) -> None:
        self._job, self._error = job, error
        self._started, self._clock = time.time(), time.perf_counter()

    async def result(self) -> Generation:
        error: Exception | None = self._error
        rewards: list[float] = []
        if self._job is not None:
            try:
                rewards = await asyncio.shield(asyncio.wrap_future(self._job.future))
            except CallFailed as failure:
                error = failure
        read = 0 if self._job is None else len(self._job.row.ids)
        usage = replace(
            Usage(flop=None, usd=None), calls=1, prompt_tokens=read, seconds=time.perf_counter() - self._clock
        )
        if error is not None:
            return Generation((), (Attempt("failed", usage, self._started, 0, str(error)),), error)
        output = Output(json.dumps(rewards), tokens=0)
        return Generation((output,), (Attempt("ok", replace(usage, samples=1), self._started, 1),))

    def cancel(self) -> None:
        """It is soon over anyway."""


class RewardFolderEngine:
    """Rewards from a folder's model, on a thread of its own; what waits is read together.

    Raises what `RewardNet` raises.
    """

    def __init__(
        self, folder: Path | ModelFolder, model: Model | None = None, *, device: str = "auto"
    ) -> None:
        self._net = RewardNet(folder if isinstance(folder, ModelFolder) else read_folder(folder), device)
        price = None if model is None else model.price
        self._model = replace(self._net.model, price=price)
        self._waiting: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="ponder-reward", daemon=True)
        self._thread.start()

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(parallel=_PARALLEL)

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType(
            {
                "engine": "reward_folder",
                "device": self._net.device,
                "weights_sha256": self._model.fingerprint,
            }
        )

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int:
        """Exact: counted by the model's own tokenizer; 0 for what it cannot read, which is not run."""
        try:
            return len(self._row(prompt).ids)
        except CallFailed:
            return 0

    def start(self, request: Request) -> _RewardCall:
        try:
            if self._closed:
                raise CallFailed("The engine is closed; open it again.")
            job = _Job(self._row(request.prompt), Future())
        except CallFailed as error:
            return _RewardCall(None, error)
        self._waiting.put(job)
        return _RewardCall(job, None)

    async def close(self) -> None:
        """End the thread once what waits has been read."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        await asyncio.to_thread(self._thread.join)

    def _row(self, prompt: Prompt) -> Row:
        steps = [message.content for message in prompt.messages if message.role == "assistant"]
        question = "".join(message.content for message in prompt.messages if message.role == "user")
        return self._net.encode(question, steps)

    def _loop(self) -> None:
        while True:
            jobs, going = self._taken()
            if jobs:
                self._serve(jobs)
            if not going:
                return

    def _taken(self) -> tuple[list[_Job], bool]:
        """All that waits, and whether more may come."""
        first = self._waiting.get()
        if first is None:
            return [], False
        time.sleep(_GATHER_SECONDS)  # what one wave asks for shall be read together
        jobs = [first]
        while not self._waiting.empty():
            job = self._waiting.get()
            if job is None:
                return jobs, False
            jobs.append(job)
        return jobs, True

    def _serve(self, jobs: Sequence[_Job]) -> None:
        """Whatever goes wrong is every caller's error: none must wait for a thread that has died."""
        try:
            told = self._net.rewards([job.row for job in jobs])
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            for job in jobs:
                job.future.set_exception(CallFailed(f"The reward model failed: {reason}."))
            return
        for job, rewards in zip(jobs, told, strict=True):
            job.future.set_result(rewards)
