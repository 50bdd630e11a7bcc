"""Climb the ladder: every rung of a plan, the cheapest first, in processes side by side.

It can be stopped or killed at any time and started again: checkpoints that are there are kept, a rung under
way goes on from its last save, and the ledger gets each piece of work once. What is there is useful at any
time.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ponder import errors
from ponder.child import Child, Limits
from ponder.core import canonical_json, digest
from ponder.errors import InputError, LedgerLocked, PonderError, RunChanged, TrainingError
from ponder.ledger import Ledger, RunRecorder
from ponder.ledger.sqlite import Lock
from ponder.train.ladder_plan import PARTS, Plan, Rung, cheapest
from ponder.train.models import require_training
from ponder.train.rung import climb, done_of, folder_of
from ponder.train.supervised import Watch

__all__ = ["Climbed", "Progress", "climb_ladder", "processes_for", "run_name"]

_PLAN = "ladder.json"
_POLL_SECONDS = 1.0
_WEEK = 7 * 86_400.0
_CHILD = "ponder.train.rung:climb_in_child"
# PyTorch reserves far more address space than it uses.
_LIMITS = Limits(memory_bytes=64 << 30, open_files=256, start_seconds=300)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the climb is. `finished`: the rung that has just been, with its rows; None between. FLOP are
    estimated ones, so that `done` of `total` tells the share."""

    rungs: int
    of: int
    done: float
    total: float
    finished: Rung | None = None
    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def share(self) -> float:
        """Of the work, from 0 to 1."""
        return self.done / self.total


@dataclass(frozen=True, slots=True)
class Climbed:
    """What came of it: the checkpoints' folders in the plan's order, and what stopped a trunk for good."""

    run: str
    folders: tuple[Path, ...]
    failures: tuple[PonderError, ...]


def run_name(config: Mapping[str, Any]) -> str:
    """The name of a run that is given none."""
    return f"ladder-{digest(dict(config))[:8]}"


def processes_for(device: str, wanted: int | None) -> int:
    """How many processes climb side by side: as many as wanted, or one a core; one on a GPU."""
    return max(1, wanted or os.cpu_count() or 1) if device == "cpu" else 1


def climb_ladder(
    plan: Plan,
    out: Path,
    ledger: Ledger,
    *,
    run: str | None = None,
    processes: int | None = None,
    device: str = "cpu",
    watch: Callable[[Progress], None] | None = None,
) -> Climbed:
    """Climb every rung of `plan` into `out`, and book its work on `ledger`.

    On a CPU `processes` (default: one a core) of one thread each run side by side; on another device one
    rung after another runs here. A trunk that diverges or does not fit into memory is left, and the others
    go on.

    Raises MissingExtra, RunChanged for a folder or a run of another plan, InputError for a folder that
    another climb is using, LedgerError.
    """
    require_training()
    with _held(out):
        config = {**plan.config, "folder": _identify(out, plan.config)}
        recorder = ledger.run(run or run_name(config), config)
        recorded = {row.position for row in ledger.stages(recorder.run_id)}
        climbing = _Climb(plan, out, recorder, recorded, watch or (lambda progress: None))
        if device == "cpu":
            climbing.side_by_side(processes_for(device, processes))
        else:
            climbing.one_by_one(device)
        if not climbing.failures:
            recorder.event("finished")
    return Climbed(recorder.run_id, tuple(climbing.folders()), tuple(climbing.failures))


@contextmanager
def _held(out: Path) -> Iterator[None]:
    """Hold the folder, so that no second climb writes into it."""
    out.mkdir(parents=True, exist_ok=True)
    try:
        lock = Lock(out / ".lock", str(out))
    except LedgerLocked:
        raise InputError(
            f"out: another process is climbing in {out}; wait until it ends, or give another folder."
        ) from None
    try:
        yield
    finally:
        lock.release()


def _identify(out: Path, config: Mapping[str, Any]) -> str:
    """The folder's own id: work done again in another folder is other work. Raises RunChanged for a folder
    that was begun with another configuration."""
    path = out / _PLAN
    wanted = json.loads(canonical_json(dict(config)))
    if path.exists():
        try:
            about = json.loads(path.read_text("utf-8"))
            identity, before = str(about["id"]), about["config"]
        except (ValueError, KeyError, TypeError):
            raise InputError(f"out: {path} cannot be read; give another folder.") from None
        changed = sorted(name for name in {*wanted, *before} if wanted.get(name) != before.get(name))
        if changed:
            raise RunChanged(
                f"{changed[0]}: the ladder in {out} was begun with other {changed[0]}: repeat the old "
                "settings, or give another folder with --out."
            )
        return identity
    identity = uuid.uuid4().hex
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(json.dumps({"id": identity, "config": wanted}, indent=1) + "\n", "utf-8")
    fresh.replace(path)
    return identity


class _Climb:
    """A climb under way: what waits, what failed, what is on the ledger."""

    def __init__(
        self,
        plan: Plan,
        out: Path,
        recorder: RunRecorder,
        recorded: set[int],
        watch: Callable[[Progress], None],
    ) -> None:
        self.plan, self.out, self.recorder, self.watch = plan, out, recorder, watch
        self.waiting = {name: deque(rungs) for name, rungs in plan.by_trunk().items()}
        self.failures: list[PonderError] = []
        self.finished: list[Rung] = []
        self._recorded = recorded
        self._total = sum(rung.flop for rung in plan.rungs)

    def folders(self) -> list[Path]:
        there = {rung.name for rung in self.finished}
        return [folder_of(rung, self.out) for rung in self.plan.rungs if rung.name in there]

    def one_by_one(self, device: str) -> None:
        """In this process, on a device that is shared by everything."""
        while (rung := cheapest(self.waiting, ())) is not None:
            try:
                rows = climb(rung, self.out, device=device, watch=partial(self._under_way, rung))
            except TrainingError as error:
                self._fail(rung, error)
            else:
                self._finish(rung, rows)

    def _under_way(self, rung: Rung, _: Watch) -> None:
        self._tell([rung])

    def side_by_side(self, processes: int) -> None:
        """In child processes of one thread each, which die with this one."""
        running: dict[Future[dict[str, Any]], Rung] = {}
        # The children end before the pool does: no thread may wait for one that trains on.
        with ThreadPoolExecutor(processes) as pool, _children(processes) as free:
            while True:
                while len(running) < processes:
                    rung = cheapest(self.waiting, {rung.trunk.name for rung in running.values()})
                    if rung is None:
                        break
                    running[pool.submit(_in_child, free, rung, self.out)] = rung
                if not running:
                    return
                for future in wait(running, _POLL_SECONDS, FIRST_COMPLETED).done:
                    self._settle(running.pop(future), future.result())
                self._tell(list(running.values()))

    def _settle(self, rung: Rung, result: Mapping[str, Any]) -> None:
        if "error" not in result:
            self._finish(rung, result["rows"])
            return
        error = getattr(errors, result["error"])(result["message"])
        if not isinstance(error, TrainingError):
            raise error
        self._fail(rung, error)

    def _fail(self, rung: Rung, error: PonderError) -> None:
        """Leave this trunk; the others go on."""
        self.failures.append(error)
        self.waiting[rung.trunk.name].clear()

    def _finish(self, rung: Rung, rows: Iterable[Mapping[str, Any]]) -> None:
        """Book the rung's work where that has not been done."""
        self.waiting[rung.trunk.name].popleft()
        self.finished.append(rung)
        new = []
        for row in rows:
            position = rung.place * len(PARTS) + PARTS.index(row["part"])
            if position not in self._recorded:
                self.recorder.stage(**row, position=position)
                self._recorded.add(position)
                new.append(row)
        self._tell([], rung, new)

    def _tell(
        self,
        running: Sequence[Rung],
        finished: Rung | None = None,
        rows: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        done = sum(rung.flop for rung in self.finished)
        done += sum(min(1.0, done_of(rung, self.out) / rung.tokens) * rung.flop for rung in running)
        progress = Progress(
            len(self.finished), len(self.plan.rungs), done, self._total, finished, tuple(rows)
        )
        self.watch(progress)


@contextmanager
def _children(count: int) -> Iterator[SimpleQueue[Child]]:
    """Child processes to take and put back. They are killed in the end, in the middle of a call too."""
    children = [Child([_CHILD], limits=_LIMITS) for _ in range(count)]
    free = SimpleQueue[Child]()
    for child in children:
        free.put(child)
    try:
        yield free
    finally:
        # All at once, since a second Ctrl-C may come; `close` alone would wait for the calls to end.
        for child in children:
            if child.pid is not None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
        for child in children:
            child.close()


def _in_child(free: SimpleQueue[Child], rung: Rung, out: Path) -> dict[str, Any]:
    child = free.get()
    try:
        arguments = {"rung": rung.to_json(), "out": str(out.absolute())}
        result: dict[str, Any] = child.call(_CHILD, arguments, seconds=_WEEK)
        return result
    finally:
        free.put(child)
