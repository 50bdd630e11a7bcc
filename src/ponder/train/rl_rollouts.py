"""Rollouts: completions of training prompts from the policy as it is, ended as an engine ends its samples."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.core import Prompt
from ponder.engines._torch_text import Text

__all__ = ["Rolled", "Rollouts"]


@dataclass(frozen=True, slots=True)
class Rolled:
    """A batch of completions. `prompt` and `completion` are the lengths that rows are padded to, `made` how
    they were made: (rows, tokens of a prompt, tokens made for every row) of those that grew together.
    `prompt_tokens` and `tokens` are the real ones of all rows."""

    rows: int
    prompt: int
    completion: int
    made: tuple[tuple[int, int, int], ...]
    prompt_tokens: int
    tokens: int
    began: float
    ended: float

    @property
    def positions(self) -> int:
        """All that ran through the model. The last token of a completion does not."""
        return sum(rows * (prompt + max(0, steps - 1)) for rows, prompt, steps in self.made)


class Rollouts:
    """TRL's `rollout_func`: given the prompts of a batch, their completions from the trainer's own model.

    TRL's default ends a completion at the end token alone; tasks with stop strings need more than that.
    `watch` is told of every batch.
    """

    def __init__(
        self,
        text: Text,
        *,
        max_tokens: int,
        stop: tuple[str, ...],
        temperature: float,
        pad: int,
        watch: Callable[[Rolled], None],
    ) -> None:
        self._text, self._stop, self._watch = text, stop, watch
        self._max_tokens, self._temperature, self._pad = max_tokens, temperature, pad
        self._flags = text.stop_tokens(stop)

    def __call__(self, prompts: Sequence[str], trainer: Any) -> dict[str, Any]:
        began = time.monotonic()
        ids = [list(self._text.encode(Prompt((), prompt))) for prompt in prompts]
        if trainer.use_vllm:
            made, logprobs = self._by_vllm(trainer, ids)
            grown = tuple((1, len(prompt), len(row)) for prompt, row in zip(ids, made, strict=True))
        else:
            made, steps = self.generate(trainer.accelerator.unwrap_model(trainer.model_wrapped), ids)
            logprobs, grown = None, ((len(ids), max(map(len, ids)), steps),)
        self._watch(
            Rolled(
                rows=len(ids),
                prompt=max(map(len, ids)),
                completion=max(map(len, made)),
                made=grown,
                prompt_tokens=sum(map(len, ids)),
                tokens=sum(map(len, made)),
                began=began,
                ended=time.monotonic(),
            )
        )
        return {"prompt_ids": ids, "completion_ids": made, "logprobs": logprobs}

    def vllm_options(self) -> dict[str, Any]:
        """vLLM's sampling parameters by which a completion ends as here, its end included."""
        ends = {"stop": list(self._stop), "include_stop_str_in_output": True} if self._stop else {}
        return {**ends, "stop_token_ids": sorted(self._text.end_tokens)}

    def _by_vllm(
        self, trainer: Any, prompts: Sequence[Sequence[int]]
    ) -> tuple[list[list[int]], list[list[float]]]:
        """Completions by TRL's own vLLM, and their tokens' log-probabilities there."""
        _, made, told, _ = trainer.vllm_generation.generate(
            prompts=prompts, images=None, num_generations=trainer.num_generations
        )
        return [list(row) for row in made], [[token[0] for token in row] for row in told]

    def generate(self, model: Any, prompts: Sequence[Sequence[int]]) -> tuple[list[list[int]], int]:
        """A completion for each prompt, its end included, and how many tokens were made for every row."""
        import torch
        from transformers import GenerationConfig, StoppingCriteriaList

        width = max(map(len, prompts))
        padded = [[self._pad] * (width - len(row)) + list(row) for row in prompts]
        seen = [[0] * (width - len(row)) + [1] * len(row) for row in prompts]
        stops = _Stops(self._text, self._stop, self._flags, width)
        config = GenerationConfig(
            max_new_tokens=self._max_tokens,
            do_sample=True,
            temperature=self._temperature,
            top_k=0,
            top_p=1.0,
            pad_token_id=self._pad,
            eos_token_id=sorted(self._text.end_tokens) or None,
            disable_compile=True,
        )
        # The library fills what equals its defaults from the model's own configuration, which must not win.
        own, learning = model.generation_config, model.training
        model.generation_config = config
        model.eval()
        try:
            with torch.no_grad():
                made = model.generate(
                    input_ids=torch.tensor(padded, device=model.device),
                    attention_mask=torch.tensor(seen, device=model.device),
                    generation_config=config,
                    stopping_criteria=StoppingCriteriaList([stops] if self._stop else []),
                )[:, width:].tolist()
        finally:
            model.generation_config = own
            model.train(learning)
        ends = stops.lengths or [len(row) for row in made]
        return [self._ended(row, end) for row, end in zip(made, ends, strict=True)], len(made[0])

    def _ended(self, row: list[int], stopped: int) -> list[int]:
        for at, token in enumerate(row[:stopped]):
            if token in self._text.end_tokens:
                return row[: at + 1]
        return row[:stopped]


class _Stops:
    """A stopping criterion of the library: which rows hold a stop string. `lengths` says after how many
    tokens each of them did."""

    def __init__(self, text: Text, stop: tuple[str, ...], flags: Sequence[bool], width: int) -> None:
        self._text, self._stop, self._flags, self._width = text, stop, flags, width
        self.lengths: list[int] = []

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        import torch

        made = input_ids.shape[1] - self._width
        open_ended = 1 << 60
        if not self.lengths:
            self.lengths = [open_ended] * input_ids.shape[0]
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self.lengths[row] == open_ended and self._flags[token]:
                ids = input_ids[row, self._width - 1 :].tolist()
                if self._text.stopped(ids[1:], ids[0], self._stop):
                    self.lengths[row] = made
        return torch.tensor([length <= made for length in self.lengths], device=input_ids.device)
