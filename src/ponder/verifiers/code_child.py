"""What runs inside the isolated processes of the code grader, with the standard library alone.

A job is one of three:

- "script" runs a program as `python program.py` would, on the standard input that follows the job.
- "program" runs a program and then answers calls of its functions, one JSON line each way.
- "tests" runs tests in which the program's functions are stand-ins that make such calls, and says at their
  end that they passed. It holds no line of the program, and only plain data comes back to it, so the program
  can neither see nor change what it is tested by.
"""

from __future__ import annotations

import builtins
import itertools
import json
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

PASSED = b"passed"

_MESSAGE_CHARACTERS = 500


def serve(job: dict[str, Any]) -> NoReturn:
    """Do the job; the process ends with it."""
    {"script": _script, "program": _program, "tests": _tests}[job["kind"]](job)
    sys.stdout.flush()
    os._exit(0)


def _run(name: str, source: str) -> dict[str, Any]:
    """Run `source` as the module `name`; dataclasses and pickling look a module up by its name."""
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(source, f"<{name}>", "exec"), module.__dict__)  # noqa: S102 the process is isolated
    return module.__dict__


def _script(job: dict[str, Any]) -> None:
    sys.argv = ["program.py"]
    try:
        _run("__main__", job["source"])
    except SystemExit as end:
        sys.stdout.flush()
        # sys.exit("some text") is a failure, sys.exit() and sys.exit(0) are not.
        os._exit(end.code if isinstance(end.code, int) else int(end.code is not None))
    except BaseException:
        sys.stdout.flush()
        os._exit(1)


def _program(job: dict[str, Any]) -> None:
    replies = job["replies"]
    with os.fdopen(job["requests"], "rb") as requests:
        names = _run("program", job["source"])
        for line in requests:
            name, arguments, keywords = decoded(json.loads(line))
            reply = json.dumps(_called(names.get(name), arguments, keywords)).encode() + b"\n"
            view = memoryview(reply)
            while view:
                view = view[os.write(replies, view) :]


def _called(function: Any, arguments: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"value": encoded(function(*arguments, **keywords))}
    except Exception as error:
        # The nearest class that Python itself has: the tests' side knows no other.
        kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
        return {"raised": kind, "message": str(error)[:_MESSAGE_CHARACTERS]}


def _tests(job: dict[str, Any]) -> None:
    with (
        os.fdopen(job["requests"], "wb", buffering=0) as requests,
        os.fdopen(job["replies"], "rb") as replies,
    ):

        def stand_in(name: str) -> Callable[..., Any]:
            def call(*arguments: Any, **keywords: Any) -> Any:
                line = json.dumps(encoded([name, list(arguments), keywords])).encode() + b"\n"
                try:
                    view = memoryview(line)
                    while view:
                        view = view[requests.write(view) :]
                    reply = json.loads(replies.readline())
                    value, raised = (
                        (decoded(reply["value"]), None) if "value" in reply else (None, _raised(reply))
                    )
                except Exception:
                    # Not an exception: a test that expects one must not take a program's end for it.
                    os._exit(1)
                if raised is not None:
                    raised.__traceback__ = None
                    raise raised
                return value

            call.__name__ = name
            return call

        module = types.ModuleType("tests")
        module.__dict__.update({name: stand_in(name) for name in job["names"]})
        sys.modules["tests"] = module
        verdict = os.dup(1)
        # What the tests print is no part of the verdict; standard error is the null device already.
        os.dup2(2, 1)
        try:
            exec(compile(job["source"], "<tests>", "exec"), module.__dict__)  # noqa: S102 the process is isolated
        except BaseException:
            os._exit(1)
        os.write(verdict, PASSED)
        os._exit(0)


def _raised(reply: dict[str, Any]) -> Exception:
    kind = getattr(builtins, reply["raised"])
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        raise TypeError
    try:
        error = kind(reply["message"])
    except TypeError:  # UnicodeDecodeError and its like take more
        error = RuntimeError(reply["message"])
    return error


def encoded(value: Any) -> Any:
    """Plain data as JSON that keeps its types: [kind, content], strings, booleans and None as they are.

    An iterator becomes its items. Raises TypeError for anything else.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return ["int", hex(value)]
    if isinstance(value, float):
        return ["float", float(value).hex()]
    if isinstance(value, complex):
        return ["complex", [value.real.hex(), value.imag.hex()]]
    if isinstance(value, bytes | bytearray):
        return ["bytes", bytes(value).hex()]
    if isinstance(value, dict):
        return ["dict", [[encoded(k), encoded(v)] for k, v in value.items()]]
    for kind in (list, tuple, set, frozenset):
        if isinstance(value, kind):
            return [kind.__name__, [encoded(item) for item in value]]
    if isinstance(value, Iterator):
        return ["iterator", [encoded(item) for item in value]]
    if isinstance(value, range):
        return ["range", [encoded(end) for end in (value.start, value.stop, value.step)]]
    raise TypeError(f"{type(value).__name__} is not plain data")


def decoded(value: Any) -> Any:
    """The inverse of `encoded`: builtin types alone. Raises ValueError, TypeError or KeyError for what it is
    not."""
    if value is None or isinstance(value, bool | str):
        return value
    kind, content = value
    if kind == "dict":
        return {decoded(key): decoded(item) for key, item in content}
    if kind == "complex":
        return complex(*(float.fromhex(part) for part in content))
    if kind in _SCALARS:
        return _SCALARS[kind](content)
    return _COLLECTIONS[kind](decoded(item) for item in content)


_SCALARS: dict[str, Callable[[str], Any]] = {
    "int": lambda text: int(text, 16),
    "float": float.fromhex,
    "bytes": bytes.fromhex,
}
_COLLECTIONS: dict[str, Callable[[Iterator[Any]], Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "iterator": lambda items: iter(list(items)),
    "range": lambda ends: range(*itertools.islice(ends, 3)),
}
