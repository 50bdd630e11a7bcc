"""A killable child process that runs named functions on JSON arguments.

Code that may hang, crash or eat memory (a third-party problem generator, a scorer fed with untrusted
text) runs here, behind hard limits, and never takes the parent with it. The child is persistent: it
pays for its imports once and then answers many calls, one JSON line each way. A call that passes its
wall-clock limit kills the child's whole process group; the next call starts a fresh one.

What this is not: a sandbox for hostile *code*. The child runs only functions from the allow-list that
our own code gave it. POSIX only (`resource`, process groups).
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from ponder.errors import ChildCrashed, ChildError, ChildTimeout

__all__ = ["Child", "Limits"]

_MESSAGE_CHARACTERS = 500
_CHUNK = 1 << 16

# Nothing else of the environment reaches the child: no API key, no proxy.
_ENVIRONMENT = ("PATH", "PYTHONPATH", "HOME", "TMPDIR", "LANG", "LC_ALL")
# A fixed hash seed makes code that iterates over sets repeatable; one BLAS thread keeps the address
# space small.
_FIXED = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a child may use. `start_seconds` bounds spawning and imports together (wall clock).

    The CPU limit of a call follows from its wall-clock limit. A limit that the operating system does
    not know is left out.
    """

    memory_bytes: int = 4 << 30
    open_files: int = 64
    start_seconds: float = 60.0
    reply_bytes: int = 64 << 20


class Child:
    """A child process that runs `operations` ("module:function"), started at the first call.

    `preload` names modules to import while starting, so that their import counts against
    `limits.start_seconds` and not against a call. Calls from several threads run one after another.
    Use it as a context manager, or `close()` it; an unreferenced child is killed as well, and a child
    whose parent dies ends itself.
    """

    def __init__(
        self, operations: Sequence[str], *, preload: Sequence[str] = (), limits: Limits | None = None
    ) -> None:
        self._operations = tuple(operations)
        self._preload = tuple(preload)
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._link: _Link | None = None
        self._calls = 0

    @property
    def pid(self) -> int | None:
        """The running child's process id, None when none runs."""
        link = self._link
        return None if link is None else link.pid

    def start(self) -> None:
        """Start the child if none runs, so that a failure to start is told from a failure of a call.

        Raises ChildTimeout past `limits.start_seconds` and ChildCrashed when it cannot start.
        """
        with self._lock:
            if self._link is None:
                self._start()

    def call(self, operation: str, arguments: Mapping[str, Any], *, seconds: float) -> Any:
        """Run `operation(**arguments)` and return its JSON value.

        Raises ChildTimeout after `seconds` (the child is killed), ChildCrashed when it dies or answers
        nonsense (likewise), and ChildError when the operation itself raises (the child lives on) or
        `arguments` are not JSON.
        """
        if operation not in self._operations:
            raise ChildError(f"The operation {operation!r} is not on this child's list.")
        try:
            text = json.dumps(dict(arguments), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ChildError(f"The arguments of {operation} are not JSON: {error}.") from None
        with self._lock:
            link = self._link or self._start()
            self._calls += 1
            request = f'{{"id":{self._calls},"op":"{operation}","seconds":{seconds!r},"args":{text}}}\n'
            with self._killing_on_failure(link):
                reply = link.exchange(request.encode(), seconds, operation)
                if reply.get("id") != self._calls or not ({"value", "error"} & reply.keys()):
                    raise ChildCrashed(f"The child process running {operation} answered nonsense.")
        if "error" in reply:
            raise ChildError(f"{operation} raised {str(reply['error'])[:_MESSAGE_CHARACTERS]}")
        return reply["value"]

    def close(self) -> None:
        """Kill the child if one runs. A later call starts another."""
        with self._lock:
            self._drop()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> _Link:
        config = {"operations": self._operations, "preload": self._preload, "limits": asdict(self._limits)}
        link = self._link = _Link(json.dumps(config), self._limits.reply_bytes)
        with self._killing_on_failure(link):
            reply = link.exchange(b"", self._limits.start_seconds, "its imports")
            if reply.get("ready") is not True:
                reason = str(reply.get("error", "no greeting"))[:_MESSAGE_CHARACTERS]
                raise ChildCrashed(f"The child process could not start: {reason}")
        return link

    @contextlib.contextmanager
    def _killing_on_failure(self, link: _Link) -> Iterator[None]:
        # BaseException: after Ctrl-C in the middle of a call the line protocol is out of step.
        try:
            yield
        except BaseException:
            link.kill()
            self._link = None
            raise

    def _drop(self) -> None:
        if self._link is not None:
            self._link.kill()
            self._link = None


class _Link:
    """The parent's end of one child process: its pipes, and the only place that kills it."""

    def __init__(self, config: str, reply_bytes: int) -> None:
        environment = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ} | _FIXED
        # -P: a module of the same name in the working folder must not be imported in place of ours.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "ponder.child", config],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        self.pid = self._process.pid
        self._reply_bytes = reply_bytes
        self._buffer = bytearray()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._write_fd, self._read_fd = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._write_fd, False)
        os.set_blocking(self._read_fd, False)
        self._finalizer = weakref.finalize(self, _kill_group, self._process)

    def kill(self) -> None:
        """SIGKILL the whole group, reap the child and close the pipes. Idempotent."""
        self._finalizer()

    def exchange(self, request: bytes, seconds: float, what: str) -> dict[str, Any]:
        """Send a request and read one reply line, both within `seconds`."""
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_fd, selectors.EVENT_READ)
            if request:
                selector.register(self._write_fd, selectors.EVENT_WRITE)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                events = selector.select(max(0.0, left))
                if not events and left <= 0:
                    raise ChildTimeout(f"The child process was killed: {what} took over {seconds:g} s.")
                for key, _ in events:
                    if key.fd == self._read_fd:
                        self._receive(what)
                    else:
                        request = self._send(request, what)
                        if not request:
                            selector.unregister(self._write_fd)
        line, _, rest = bytes(self._buffer).partition(b"\n")
        self._buffer = bytearray(rest)
        try:
            reply = json.loads(line)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise ChildCrashed(f"The child process running {what} answered nonsense.")
        return reply

    def _send(self, request: bytes, what: str) -> bytes:
        try:
            return request[os.write(self._write_fd, request[:_CHUNK]) :]
        except BlockingIOError:
            return request
        except BrokenPipeError:
            raise self._death(what) from None

    def _receive(self, what: str) -> None:
        try:
            chunk = os.read(self._read_fd, _CHUNK)
        except BlockingIOError:
            return
        if not chunk:
            raise self._death(what)
        self._buffer += chunk
        if len(self._buffer) > self._reply_bytes:
            raise ChildCrashed(
                f"The child process running {what} answered more than {self._reply_bytes} bytes."
            )

    def _death(self, what: str) -> ChildCrashed:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        code = self._process.returncode
        if code is None:
            how = "it closed its pipe"
        elif code < 0:
            how = f"signal {signal.Signals(-code).name}"
        else:
            how = f"exit code {code}"
        return ChildCrashed(f"The child process died while running {what} ({how}).")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # The group goes first: it may hold processes that outlive its leader.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


# ---------------------------------------------------------------- inside the child


def _set_limits(limits: Mapping[str, Any]) -> None:
    import resource

    wanted = {
        resource.RLIMIT_AS: limits["memory_bytes"],
        resource.RLIMIT_NOFILE: limits["open_files"],
        resource.RLIMIT_CORE: 0,
    }
    for which, value in wanted.items():
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(which, (value, value))


def _limit_cpu(seconds: float) -> None:
    """Let the process use `seconds` (and a bit) more CPU time from now on. The soft limit alone: a
    later call raises it again."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = int(used.ru_utime + used.ru_stime + seconds) + 2
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def _take_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Keep the protocol's pipes for ourselves; what other code prints goes to stderr."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return requests, replies


def _listen(requests: IO[bytes], inbox: queue.SimpleQueue[bytes]) -> None:
    for line in requests:
        inbox.put(line)
    # The parent is gone or has closed the pipe: end the whole group, in the middle of a call too.
    os.killpg(0, signal.SIGKILL)


def _run(request: Mapping[str, Any], operations: Sequence[str]) -> Any:
    if request["op"] not in operations:
        raise LookupError(f"{request['op']} is not on the list")
    module, _, function = request["op"].partition(":")
    return getattr(importlib.import_module(module), function)(**request["args"])


def _reply(request: Mapping[str, Any], operations: Sequence[str]) -> bytes:
    try:
        body = {"id": request["id"], "value": _run(request, operations)}
        return json.dumps(body, allow_nan=False).encode()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"[:_MESSAGE_CHARACTERS]
        return json.dumps({"id": request["id"], "error": reason}).encode()


def _send_line(replies: IO[bytes], line: bytes) -> None:
    view = memoryview(line + b"\n")
    while view:
        view = view[replies.write(view) :]


def _main(config: Mapping[str, Any]) -> None:
    requests, replies = _take_pipes()
    _set_limits(config["limits"])
    _limit_cpu(config["limits"]["start_seconds"])
    inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests, inbox), daemon=True).start()
    try:
        for module in config["preload"]:
            importlib.import_module(module)
    except Exception as error:
        _send_line(replies, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return
    _send_line(replies, b'{"ready":true}')
    while True:
        request = json.loads(inbox.get())
        _limit_cpu(request["seconds"])
        _send_line(replies, _reply(request, config["operations"]))


if __name__ == "__main__":
    _main(json.loads(sys.argv[1]))
