"""The program that tries to break out of the isolation, run inside it before any other.

It prints, as JSON, what it was able to do; every attempt is harmless where it succeeds. Its standard input
holds `secret` (a file of the user's), `folders` (which it must neither list nor write to), `parent` (a
process id) and `memory_bytes` (which it must not get).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_PTRACE_PEEKDATA = 2


def _start_a_process() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _trace() -> None:
    # Not PTRACE_TRACEME, which is no harmless call: the next signal would stop this process for good. That
    # it traces nobody yet is what the kernel says to one that may trace.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace(_PTRACE_PEEKDATA, os.getpid(), None, None)
    if ctypes.get_errno() != errno.ESRCH:
        raise PermissionError


def _write(folder: str) -> None:
    path = Path(folder, f"written-by-a-program-{os.getpid()}")
    path.write_text("", "utf-8")
    path.unlink()


def _attempts(facts: dict[str, Any]) -> Iterable[tuple[str, Callable[[], object]]]:
    secret, parent = Path(facts["secret"]), facts["parent"]
    yield "open a network socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    yield "open a local socket", lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    yield "start a process", _start_a_process
    yield "start a thread", lambda: threading.Thread(target=int).start()
    yield "run a command", lambda: os.execv("/nonexistent", ["x"])  # noqa: S606
    yield "read your files", secret.read_bytes
    yield "read /etc", Path("/etc/passwd").read_bytes
    yield "change the mode of a file", lambda: secret.chmod(0o600)
    yield "rename a file", lambda: secret.rename(secret)
    yield "read another process's environment", Path(f"/proc/{parent}/environ").read_bytes
    yield "signal a process", lambda: os.kill(parent, 0)
    yield "trace a process", _trace
    yield "take more memory", lambda: bytearray(facts["memory_bytes"])
    yield "raise its limits", lambda: resource.setrlimit(resource.RLIMIT_CPU, (1 << 20, 1 << 20))
    for folder in facts["folders"]:
        yield f"list {folder}", lambda: os.listdir(folder)  # noqa: B023, PTH208 called at once
        yield f"write to {folder}", lambda: _write(folder)  # noqa: B023 called at once


def _main() -> None:
    facts = json.load(sys.stdin)
    able = []
    for what, attempt in _attempts(facts):
        try:
            attempt()
        except (OSError, MemoryError, RuntimeError, ValueError) as error:
            # exec looks the file up where it is allowed at all.
            if what == "run a command" and isinstance(error, FileNotFoundError):
                able.append(what)
        else:
            able.append(what)
    if os.environ:
        able.append("read the environment")
    for descriptor in range(3, 64):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            able.append(f"use the inherited descriptor {descriptor}")
    print(json.dumps(able))


_main()
