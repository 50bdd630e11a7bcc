"""Draw replies to problems in bulk from a model folder, and know what that took."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from ponder import flop
from ponder.core import Model, Output, Prompt, Sampling
from ponder.engines._torch_folder import read_folder
from ponder.engines._torch_text import Text
from ponder.engines.torch_sampling import Sampler
from ponder.errors import ModelUnsupported
from ponder.tasks import Problem
from ponder.train.held_out import raw_prompt
from ponder.train.state import Work

__all__ = ["Drawer"]


class Drawer:
    """Draws from the model in `folder`. Use it as a context manager, or `close()` it. `rough` takes a model
    of unknown layout too and counts 2·N FLOP a position.

    Raises what `Sampler.open` raises, and ModelUnsupported for a model whose FLOP cannot be counted.
    """

    def __init__(
        self, folder: Path, *, processes: int = 1, device: str = "auto", rough: bool = False
    ) -> None:
        opened = read_folder(folder)
        if opened.model.shape is None and not (rough and opened.model.active_parameters):
            raise ModelUnsupported(f"model: the layout of {folder} is unknown; take another checkpoint.")
        self.model: Model = opened.model
        self._shape = opened.model.shape
        self._text = Text(folder, opened.config)
        self._sampler = Sampler.open(folder, processes=processes, device=device)
        self._began = time.monotonic()
        self._samples = self._prompts = self._prompt_tokens = self._fed = 0
        self._prefill = self._decode = 0.0

    def draw(
        self,
        problems: Sequence[Problem],
        n: int,
        *,
        temperature: float,
        seed: int,
        prefixes: Sequence[str] | None = None,
        max_tokens: int | None = None,
    ) -> Iterator[tuple[int, list[Output]]]:
        """The index of each problem with `n` replies, in whatever order they are finished. Sample j of
        problem i depends on (seed, i, j) alone. The problems end their replies alike. `prefixes`, one a
        problem, are beginnings of replies, which the samples continue and do not repeat. Replies have at most
        `max_tokens`; None: as many as the problem that allows most."""
        prompts = [raw_prompt(self._text, problem) for problem in problems]
        begun = prefixes or [""] * len(prompts)
        lengths = [len(self._text.encode(Prompt((), p), b)) for p, b in zip(prompts, begun, strict=True)]
        drawn = self._sampler.sample(
            prompts,
            n,
            sampling=Sampling(temperature),
            max_tokens=max_tokens or max(problem.question.max_tokens for problem in problems),
            stop=problems[0].question.stop,
            seed=seed,
            prefixes=prefixes,
        )
        for index, outputs in drawn:
            self._note(lengths[index], [output.tokens or 0 for output in outputs])
            yield index, outputs

    def prompt_tokens(self, problem: Problem) -> int:
        """The length of a problem's prompt."""
        return len(self._text.encode(Prompt((), raw_prompt(self._text, problem))))

    def _note(self, prompt: int, made: Sequence[int]) -> None:
        self._samples += len(made)
        self._prompts += 1
        self._prompt_tokens += prompt
        self._fed += sum(max(0, n - 1) for n in made)
        if self._shape is None:
            return
        self._prefill += flop.prefill_flop(self._shape, prompt)
        self._decode += sum(flop.decode_flop(self._shape, prompt, n) for n in made)

    @property
    def work(self) -> Work:
        """All work so far. What ran beside the replies' own tokens (padding, rows that had ended) counts as
        tokens in the middle of a reply."""
        done = self._sampler.work
        total = 0.0
        if self._shape is None:
            total = 2.0 * (self.model.active_parameters or 0.0) * done.positions
        elif self._prompts:
            read_again = done.prompt_tokens / self._prompt_tokens
            middle = (self._prompt_tokens + self._fed * self._prompts / self._samples) / self._prompts
            idle = max(0, done.positions - done.prompt_tokens - self._fed)
            beside = idle * flop.forward_flop(self._shape, 1, cached=round(middle))
            total = read_again * self._prefill + self._decode + beside
        return Work(
            examples=self._samples,
            tokens=done.prompt_tokens + done.generated,
            positions=done.positions,
            flop=total,
            seconds=time.monotonic() - self._began,
        )

    def close(self) -> None:
        self._sampler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
