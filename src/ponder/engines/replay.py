"""An engine that serves samples which were recorded before, as if they were drawn anew.

Its attempts carry the recorded token counts, so that a budget is spent exactly as it was then.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ponder.core import Attempt, Capabilities, Generation, Model, Output, Prompt, Request, Sample, Usage
from ponder.errors import CallFailed

__all__ = ["ReplayEngine"]

ABLE = Capabilities(
    samples_per_call=1 << 20,
    parallel=256,
    prompt_once=True,
    raw_text=True,
    logprobs=True,
    prefix=True,
    seed=True,
    halt=False,
    tells_stop=True,
)

Key = Prompt | tuple[Prompt, str]


class ReplayEngine:
    """Serves `bank`: by prompt, or by (prompt, prefix), what was drawn for it, in the order asked.

    A request takes the places offset..offset+n-1. `prompt_tokens` are those of one reading of each prompt;
    where they are not given they are unknown. `capabilities` should be those of the engine that drew.
    """

    def __init__(
        self,
        model: Model,
        bank: Mapping[Key, Sequence[Sample | Output]] | Mapping[Prompt, Sequence[Sample | Output]],
        *,
        prompt_tokens: Mapping[Prompt, int] = MappingProxyType({}),
        capabilities: Capabilities = ABLE,
    ) -> None:
        self._model, self._capabilities, self._prompt_tokens = model, capabilities, dict(prompt_tokens)
        self._bank = {
            key if isinstance(key, tuple) else (key, ""): [_output(row) for row in rows]
            for key, rows in bank.items()
        }
        self.served = 0

    @property
    def model(self) -> Model:
        return self._model

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def facts(self) -> Mapping[str, Any]:
        return MappingProxyType({"engine": "replay", "model": self._model.name})

    def prompt_tokens_bound(self, prompt: Prompt, prefix: str = "") -> int | None:
        """What was recorded, None if nothing was."""
        return self._prompt_tokens.get(prompt)

    def start(self, request: Request) -> ReplayCall:
        held = self._bank.get((request.prompt, request.prefix), [])
        outputs = tuple(held[request.offset : request.offset + request.n])
        self.served += len(outputs)
        error = None
        if len(outputs) < request.n:
            error = CallFailed(
                f"The record holds {len(held)} samples of this prompt and number "
                f"{request.offset + len(outputs) + 1} was asked for: draw more, or ask for fewer."
            )
        return ReplayCall(self._generation(request, outputs, error))

    def _generation(
        self, request: Request, outputs: tuple[Output, ...], error: CallFailed | None
    ) -> Generation:
        if not outputs:
            return Generation((), (Attempt("failed", Usage(calls=1), time.time(), 0, str(error)),), error)
        tokens = [output.tokens for output in outputs]
        known = [n for n in tokens if n is not None]
        usage = Usage(
            calls=1,
            samples=len(outputs),
            prompt_tokens=self.prompt_tokens_bound(request.prompt, request.prefix),
            cached_tokens=None,
            completion_tokens=sum(known) if len(known) == len(tokens) else None,
            reasoning_tokens=None,
            flop=None,
            usd=None,
        )
        attempt = Attempt("ok", usage, time.time(), len(outputs))
        if error is not None:
            return Generation(
                outputs, (attempt, Attempt("failed", Usage(calls=1), time.time(), 0, str(error))), error
            )
        return Generation(outputs, (attempt,))

    async def close(self) -> None:
        """There is nothing to close."""


def _output(row: Sample | Output) -> Output:
    if isinstance(row, Output):
        return row
    return Output(row.text, row.reasoning, row.tokens, row.logprobs, row.finish)


class ReplayCall:
    """Done when made."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation

    async def result(self) -> Generation:
        return self._generation

    def cancel(self) -> None:
        """Too late: it is done."""
