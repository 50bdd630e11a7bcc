"""Draw for the pieces of a campaign: the model is loaded when it is wanted, each piece's work is known."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from ponder.core import Output
from ponder.ledger import Stage
from ponder.tasks import Problem
from ponder.train import state as states
from ponder.train.devices import described
from ponder.train.drawing import Drawer
from ponder.train.pieces import lost, stage_row
from ponder.train.state import Work

__all__ = ["PieceDrawer"]

_TELL_SECONDS = 2.0


class PieceDrawer:
    """Draws from the model in `folder`, piece by piece: `begin`, any number of `draw`, `end`."""

    def __init__(self, folder: Path, *, processes: int, device: str) -> None:
        self._folder, self._processes, self._device = folder, processes, device
        self._drawer: Drawer | None = None
        self._stem = folder
        self._started = self._told = 0.0
        self._before, self._repeated = Work(), Work()

    @property
    def drawer(self) -> Drawer:
        """The open model. Raises what `Drawer` raises."""
        if self._drawer is None:
            self._drawer = Drawer(self._folder, processes=self._processes, device=self._device)
        return self._drawer

    def begin(self, stem: Path) -> None:
        """Begin the piece whose files are at `stem`."""
        self._stem, self._started, self._told = stem, time.time(), time.monotonic()
        self._repeated, self._before = lost(stem), self.drawer.work

    def draw(
        self,
        problems: Sequence[Problem],
        n: int,
        *,
        temperature: float,
        seed: int,
        prefixes: Sequence[str] | None = None,
    ) -> Iterator[tuple[int, list[Output]]]:
        """As of `Drawer`; how far the work is is noted for the case of a kill or a failure."""
        drawn = self.drawer.draw(problems, n, temperature=temperature, seed=seed, prefixes=prefixes)
        try:
            for at, outputs in drawn:
                yield at, outputs
                if time.monotonic() - self._told > _TELL_SECONDS:
                    self._tell()
        except BaseException:
            self._tell()
            raise

    def _tell(self) -> None:
        self._told = time.monotonic()
        states.tell(self._stem, self._repeated + self.drawer.work - self._before)

    def prompt_tokens(self, problem: Problem) -> int:
        """The length of a problem's prompt."""
        return self.drawer.prompt_tokens(problem)

    def end(self, stage: Stage, detail: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The piece's rows for the ledger: its work, and what kills had made to be done before in vain."""
        states.remove(self._stem)
        about: dict[str, Any] = {
            "model": self.drawer.model.name,
            "device": described(self._device, self._processes),
            "started": self._started,
            "detail": detail,
        }
        parts = ((None, self.drawer.work - self._before), ("repeated", self._repeated))
        return [stage_row(stage, part, work, **about) for part, work in parts if work.examples]

    def close(self) -> None:
        if self._drawer is not None:
            self._drawer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
