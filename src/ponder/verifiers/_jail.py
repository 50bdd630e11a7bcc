"""Runs untrusted programs in isolated processes and tells what came of them.

The isolation is that of `jail_child.py`, the work that of `code_child.py`; neither imports anything of
ours. That a machine can isolate is not assumed: `escapes` runs a program that tries to break out.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from ponder.errors import ChildCrashed

__all__ = ["Ended", "JailLimits", "escapes", "run_script", "run_tests"]

_HERE = Path(__file__).parent
# Nothing of the parent's environment. The seed makes the order of sets, and so a grade, repeatable.
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
_READY, _PASSED = b"\x06", b"passed"
_CHUNK = 1 << 16
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class JailLimits:
    """What an isolated process may use: whole seconds of CPU time, seconds on the clock, bytes of address
    space, open files, and bytes of output."""

    seconds: int = 10
    wall_seconds: float = 30.0
    memory_bytes: int = 1 << 30
    open_files: int = 16
    output_bytes: int = 1 << 20


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended. `code` is its exit status (negative: the signal), None when it was killed at the
    limit of the clock or of output."""

    code: int | None
    output: bytes


def run_script(source: str, standard_input: str, limits: JailLimits) -> Ended:
    """Run a program on its standard input. Raises ChildCrashed when no isolated process can be had."""

    def run() -> Ended:
        deadline = time.monotonic() + limits.wall_seconds
        job = {"kind": "script", "source": source}
        with _Process(job, limits, standard_input.encode(errors="replace")) as process:
            whole = _converse([process], process, deadline)
            code = process.exit_status(deadline) if whole else None
            return Ended(code, process.output())

    return _twice(run)


def run_tests(source: str, tests: str, names: Sequence[str], limits: JailLimits) -> bool:
    """Whether `tests` run to their end, the functions `names` being those of the program `source`.

    The two run in a process each. Raises ChildCrashed when no isolated process can be had.
    """

    def run() -> bool:
        deadline = time.monotonic() + limits.wall_seconds
        with contextlib.ExitStack() as stack:
            with _pipe() as (asked, asking), _pipe() as (answered, answering):
                job = {"kind": "program", "source": source, "requests": asked, "replies": answering}
                program = stack.enter_context(_Process(job, limits))
                job = {"kind": "tests", "source": tests, "requests": asking, "replies": answered}
                tester = stack.enter_context(_Process({**job, "names": list(names)}, limits))
            _converse([program, tester], tester, deadline)
            program.output()
            return tester.output() == _PASSED

    return _twice(run)


def escapes(limits: JailLimits) -> list[str]:
    """What an isolated program is able to do here that it must not be: empty where the isolation holds.

    Raises ChildCrashed when no isolated process can be had.
    """
    source = (_HERE / "jail_probe.py").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        secret = Path(folder, "secret")
        secret.write_text("secret", "utf-8")
        facts = {
            "secret": str(secret),
            "folders": [folder, str(Path.cwd()), str(Path("~").expanduser())],
            "parent": os.getpid(),
            "memory_bytes": limits.memory_bytes,
        }
        ended = run_script(source, json.dumps(facts), limits)
    try:
        found = json.loads(ended.output)
    except ValueError:
        found = None
    if ended.code != 0 or not isinstance(found, list):
        raise ChildCrashed(f"The program that tries the isolation did not end well (status {ended.code}).")
    return [str(what) for what in found]


def _twice(run: Callable[[], T]) -> T:
    # A machine that is short of memory or processes for a moment must not end a measurement.
    try:
        return run()
    except ChildCrashed:
        return run()


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """The reading and the writing end, ours until the end of the block: one that we went on holding would
    never be seen to close."""
    ends = os.pipe()
    try:
        yield ends
    finally:
        for end in ends:
            os.close(end)


class _Process:
    """One isolated process. Its job, and what it is to read after it, goes to its standard input."""

    def __init__(self, job: Mapping[str, Any], limits: JailLimits, standard_input: bytes = b"") -> None:
        text = json.dumps({**job, "limits": asdict(limits), "parent": os.getpid()}).encode()
        self.unsent = len(text).to_bytes(8, "big") + text + standard_input
        self._said = bytearray()
        self._most = limits.output_bytes + len(_READY)
        self._discards = job["kind"] == "program"
        try:
            self._popen = subprocess.Popen(
                [sys.executable, "-S", "-s", "-P", "-B", _HERE / "jail_child.py", _HERE / "code_child.py"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
                pass_fds=[job[end] for end in ("requests", "replies") if end in job],
            )
        except OSError as error:
            raise ChildCrashed(f"An isolated process could not be made: {error.strerror}.") from None
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self.stdin, self.stdout = self._popen.stdin, self._popen.stdout
        os.set_blocking(self.stdin.fileno(), False)

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        # It can have started no other process: the kernel has allowed it none.
        self._popen.kill()
        self._popen.wait()
        self.stdin.close()
        self.stdout.close()

    def send(self) -> bool:
        """Send what fits. False when there is no more to send, or nobody to read it."""
        try:
            self.unsent = self.unsent[os.write(self.stdin.fileno(), self.unsent[:_CHUNK]) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        return bool(self.unsent)

    def hear(self) -> bool:
        """Take what it says. False when it has closed its output, or said more than it may. What a tested
        program prints counts for nothing, so the rest of that is dropped."""
        chunk = os.read(self.stdout.fileno(), _CHUNK)
        self._said += chunk
        if self._discards:
            del self._said[self._most :]
        return bool(chunk) and not self.over

    @property
    def over(self) -> bool:
        """Whether it said more than it may."""
        return len(self._said) > self._most

    def output(self) -> bytes:
        """What it said once it was locked in. Raises ChildCrashed when it never was."""
        if not self._said.startswith(_READY):
            why = self._said.decode(errors="replace") or "it ended, or ran out of time, while starting"
            raise ChildCrashed(f"An isolated process could not be made: {why}.")
        return bytes(self._said[len(_READY) : self._most])

    def exit_status(self, deadline: float) -> int | None:
        """Its exit status, None when it has not ended by then (seconds on the monotonic clock)."""
        try:
            return self._popen.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None


def _converse(processes: Sequence[_Process], last: _Process, deadline: float) -> bool:
    """Serve all of them until `last` closes its output. False when that takes too long or says too much."""
    with selectors.DefaultSelector() as selector:
        for each in processes:
            selector.register(each.stdin, selectors.EVENT_WRITE, each)
            selector.register(each.stdout, selectors.EVENT_READ, each)
        while last.stdout in selector.get_map():
            left = deadline - time.monotonic()
            events = selector.select(max(0.0, left))
            if not events and left <= 0:
                return False
            for key, _ in events:
                process: _Process = key.data
                if key.fileobj is process.stdin:
                    if not process.send():
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif not process.hear():
                    selector.unregister(process.stdout)
    return not last.over
