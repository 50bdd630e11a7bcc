"""Gives up, for good, what a program that a model wrote must not have, and then runs it.

Run by path, as a process of its own, with the standard library alone. It reads a job from its standard
input, locks itself in, writes one byte to say so, and serves the job by `code_child.py`. Everything here
works for an ordinary user, and holds for root:

- seccomp: a list of allowed system calls. No socket, no process or thread, no exec, no signal to anyone, no
  tracing, no file opened for writing, nothing renamed, removed, or changed in its mode.
- Landlock: reading below the standard library and the system's shared libraries alone.
- resource limits: CPU time, address space, open files, no file may grow, no core.
- no capability, and where the system permits it, user, network and IPC namespaces of its own.

Any of the first three that cannot be had ends the process before the program runs. Sources: seccomp(2),
landlock(7), capabilities(7), and Linux's uapi headers for the numbers.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import runpy
import signal
import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

READY = b"\x06"
NO_ISOLATION = 97

_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 1, 38, 22
_SECCOMP_MODE_FILTER = 2
_NAMESPACES = 0x10000000 | 0x40000000 | 0x08000000  # CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWIPC

# Linux's numbers on x86-64. The ones of other processors differ, and there the filter refuses to run.
_ALLOWED = {
    "read": 0, "write": 1, "close": 3, "stat": 4, "fstat": 5, "lstat": 6, "poll": 7, "lseek": 8, "mmap": 9,
    "mprotect": 10, "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15,
    "pread64": 17, "readv": 19, "writev": 20, "access": 21, "select": 23, "sched_yield": 24, "mremap": 25,
    "madvise": 28, "dup": 32, "dup2": 33, "nanosleep": 35, "setitimer": 38, "getpid": 39, "exit": 60,
    "uname": 63, "getcwd": 79, "readlink": 89, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99,
    "times": 100, "getuid": 102, "getgid": 104, "geteuid": 107, "getegid": 108, "getppid": 110,
    "sigaltstack": 131, "gettid": 186, "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217,
    "clock_gettime": 228, "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "newfstatat": 262,
    "readlinkat": 267, "faccessat": 269, "pselect6": 270, "ppoll": 271, "dup3": 292, "getrandom": 318,
    "statx": 332, "rseq": 334, "faccessat2": 439,
}  # fmt: skip

_NOT_READ_ONLY = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000  # the last: __O_TMPFILE
_EVERY_BIT = 0xFFFFFFFF
# (number, which argument, its bits that count, the values they may have). Of fcntl only what duplicates a
# descriptor and reads its flags: F_SETOWN and F_SETSIG would send signals to any process of the user.
_ALLOWED_WITH = (
    (2, 1, _NOT_READ_ONLY, (0,)),  # open: flags
    (257, 2, _NOT_READ_ONLY, (0,)),  # openat: flags
    (72, 1, _EVERY_BIT, (0, 1, 2, 3, 1030)),  # fcntl: F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_DUPFD_CLOEXEC
)
_IOCTL = 16

_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_KILL, _ALLOW, _FAIL = 0x80000000, 0x7FFF0000, 0x00050000
_ARCHITECTURE, _NUMBER, _ARGUMENTS = 4, 0, 16  # where they lie in struct seccomp_data
_X86_64, _X32 = 0xC000003E, 0x40000000
_ENOSYS, _ENOTTY = 38, 25

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
# How many rights over files each version of Landlock knows, and from which on it knows the network and
# scopes.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_FILE_RIGHTS_NOW, _NETWORK_FROM, _SCOPES_FROM = 16, 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


class NoIsolation(Exception):
    """The machine cannot do what the isolation needs."""


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise NoIsolation(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _system_call(number: int, *arguments: Any) -> int:
    return int(_libc.syscall(ctypes.c_long(number), *arguments))


def seccomp_program() -> bytes:
    """The filter in classic BPF, as struct sock_filter one after the other."""

    def step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
        return struct.pack("=HBBI", code, if_true, if_false, value)

    steps = [
        step(_LOAD, _ARCHITECTURE),
        step(_EQUAL, _X86_64, 1, 0),
        step(_RETURN, _KILL),
        step(_LOAD, _NUMBER),
        step(_AT_LEAST, _X32, 0, 1),
        step(_RETURN, _KILL),
    ]
    for number in _ALLOWED.values():
        steps += [step(_EQUAL, number, 0, 1), step(_RETURN, _ALLOW)]
    # Python asks of every file that it opens whether it is a terminal.
    steps += [step(_EQUAL, _IOCTL, 0, 1), step(_RETURN, _FAIL | _ENOTTY)]
    for number, argument, bits, values in _ALLOWED_WITH:
        check = [step(_LOAD, _ARGUMENTS + 8 * argument), step(_AND, bits)]
        for value in values:
            check += [step(_EQUAL, value, 0, 1), step(_RETURN, _ALLOW)]
        check.append(step(_RETURN, _FAIL | _ENOSYS))
        steps += [step(_EQUAL, number, 0, len(check)), *check]
    # ENOSYS: the C library then tries an older call in place of one that is not on the list.
    steps.append(step(_RETURN, _FAIL | _ENOSYS))
    return b"".join(steps)


def _filter_system_calls() -> None:
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise NoIsolation(f"no list of system calls for {sys.platform} on {os.uname().machine}")
    program = seccomp_program()
    steps = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(steps))
    _checked(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), header, 0, 0), "seccomp")


def readable_places() -> list[str]:
    """The standard library and the system's shared libraries and time zones, as far as they exist."""
    places = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"]
    base = Path(sys.base_prefix)
    if base != Path("/usr"):
        places.append(str(base / "lib"))
    places += [place for place in sys.path if place]
    return sorted({place for place in places if os.path.exists(place)})  # noqa: PTH110 also for a zip


def _restrict_files() -> None:
    version = _system_call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if version < 1:
        raise NoIsolation("no Landlock")
    every = (1 << _FILE_RIGHTS.get(version, _FILE_RIGHTS_NOW)) - 1
    asked = [every]
    if version >= _NETWORK_FROM:
        asked.append(0b11)  # bind and connect TCP
    if version >= _SCOPES_FROM:
        asked.append(0b11)  # abstract sockets and signals
    attributes = struct.pack(f"={len(asked)}Q", *asked)
    rules = _checked(
        _system_call(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)),
        "Landlock",
    )
    for place in readable_places():
        below = os.open(place, os.O_PATH | os.O_CLOEXEC)
        rights = _READ_FILE | _EXECUTE | (_READ_DIR if Path(place).is_dir() else 0)
        rule = struct.pack("=Qi", rights, below)
        _checked(_system_call(_ADD_RULE, rules, 1, rule, ctypes.c_uint(0)), f"Landlock on {place}")
        os.close(below)
    _checked(_system_call(_RESTRICT_SELF, rules, ctypes.c_uint(0)), "Landlock")
    os.close(rules)


def _set_limits(limits: Mapping[str, int]) -> None:
    for which, value in (
        (resource.RLIMIT_CPU, limits["seconds"]),
        (resource.RLIMIT_AS, limits["memory_bytes"]),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        hard = resource.getrlimit(which)[1]
        wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (wanted, wanted))


def _drop_capabilities() -> None:
    # Version 3 of the header, this process; three sets of twice 32 bits, all empty.
    header, empty = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    _checked(_libc.capset(header, empty), "capset")


def isolate(limits: Mapping[str, int]) -> None:
    """Lock this process in. There is no way back. Raises NoIsolation or OSError, and the process must
    end then."""
    # A further wall only: many systems and containers forbid it to ordinary users.
    _libc.unshare(ctypes.c_int(_NAMESPACES))
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), 0, 0, 0), "no_new_privs")
    _restrict_files()
    _set_limits(limits)
    _drop_capabilities()
    # After whatever changes the credentials, which undoes it.
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0), "a death signal")
    _filter_system_calls()


def _exactly(count: int) -> bytes:
    # Unbuffered: what follows the job is the program's own standard input.
    parts = b""
    while len(parts) < count:
        part = os.read(0, count - len(parts))
        if not part:
            raise EOFError
        parts += part
    return parts


def _main(harness: Sequence[str]) -> None:
    serve = runpy.run_path(harness[0])["serve"]
    job = json.loads(_exactly(int.from_bytes(_exactly(8), "big")))
    os.environ.clear()
    with contextlib.suppress(AttributeError):
        sys.set_int_max_str_digits(0)
    try:
        isolate(job["limits"])
    except (NoIsolation, OSError, ValueError) as error:
        os.write(1, f"{type(error).__name__}: {error}".encode())
        os._exit(NO_ISOLATION)
    if os.getppid() != job["parent"]:
        os._exit(NO_ISOLATION)
    os.write(1, READY)
    serve(job)


if __name__ == "__main__":
    _main(sys.argv[1:])
