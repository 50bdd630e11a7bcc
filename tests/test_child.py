"""The killable child: limits, kills, restarts, and nothing left behind."""

from __future__ import annotations

import gc
import os
import re
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponder.child import Child, Limits
from ponder.errors import ChildCrashed, ChildError, ChildTimeout

OPERATIONS = """
    import os, resource, subprocess, sys, time

    def double(x): return 2 * x
    def sleep(seconds): time.sleep(seconds); return seconds
    def spin():
        while True: pass
    def die(code): os._exit(code)
    def leave(): sys.exit(3)
    def fail(): raise ValueError("no such luck")
    def noisy(): print('{"id": 1, "value": "fake"}', flush=True); os.write(1, b"raw\\n"); return "real"
    def read_input(): return sys.stdin.read()
    def secret(): return os.environ.get("OPENAI_API_KEY")
    def hoard(): return len(bytearray(8 << 30))
    def opener():
        files = []
        while True: files.append(open(os.devnull))
    def not_json(): return {1, 2}
    def nan(): return float("nan")
    def long(n): return "x" * n
    def offspring(): return subprocess.Popen(["sleep", "60"]).pid
    def core(): return resource.getrlimit(resource.RLIMIT_CORE)[0]
    def pid(): return os.getpid()
    def nonsense():
        for fd in range(3, 20):
            try: os.write(fd, b"not a reply\\n")
            except OSError: pass
        time.sleep(30)
"""
NAMES = re.findall(r"def (\w+)", OPERATIONS)


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Child]:
    (tmp_path / "operations_for_test.py").write_text(textwrap.dedent(OPERATIONS))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with Child([f"operations_for_test:{name}" for name in NAMES]) as child:
        yield child


def call(child: Child, name: str, seconds: float = 20.0, **arguments: object) -> object:
    return child.call(f"operations_for_test:{name}", arguments, seconds=seconds)


def gone(pid: int) -> bool:
    """Whether the process ends within a few seconds (an orphan's zombie is for init to reap)."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_one_process_answers_many_calls(child: Child) -> None:
    pids = {call(child, "pid") for _ in range(5)}
    assert pids == {child.pid}
    assert [call(child, "double", x=x) for x in (1, "ab", [3])] == [2, "abab", [3, 3]]


def test_timeout_kills_and_the_next_call_starts_afresh(child: Child) -> None:
    first = child_pid(child)
    began = time.monotonic()
    with pytest.raises(ChildTimeout, match=r"killed: .*sleep took over 0\.3 s"):
        child.call("operations_for_test:sleep", {"seconds": 30}, seconds=0.3)
    assert time.monotonic() - began < 5
    assert child.pid is None
    assert gone(first)
    assert call(child, "double", x=4) == 8
    assert child_pid(child) != first


def child_pid(child: Child) -> int:
    call(child, "pid")
    assert child.pid is not None
    return child.pid


def test_a_busy_loop_is_killed_too(child: Child) -> None:
    with pytest.raises(ChildTimeout):
        call(child, "spin", seconds=0.3)
    assert call(child, "double", x=1) == 2


@pytest.mark.parametrize(("code", "how"), [(7, "exit code 7")])
def test_a_death_is_a_crash(child: Child, code: int, how: str) -> None:
    with pytest.raises(ChildCrashed, match=how):
        call(child, "die", code=code)
    assert call(child, "double", x=1) == 2


def test_a_signal_is_named(child: Child) -> None:
    pid = child_pid(child)
    killer = threading.Timer(0.3, os.kill, (pid, signal.SIGSEGV))
    killer.start()
    with pytest.raises(ChildCrashed, match="SIGSEGV"):
        child.call("operations_for_test:sleep", {"seconds": 30}, seconds=20)
    killer.join()


def test_nonsense_is_a_crash(child: Child) -> None:
    with pytest.raises(ChildCrashed, match="nonsense"):
        call(child, "nonsense")
    assert call(child, "double", x=1) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fail", "ValueError: no such luck"),
        ("leave", "SystemExit: 3"),
        ("not_json", "TypeError"),
        ("nan", "ValueError"),
        ("hoard", "MemoryError"),
        ("opener", "Too many open files"),
    ],
)
def test_an_operation_that_raises_leaves_the_child_alive(child: Child, name: str, message: str) -> None:
    pid = child_pid(child)
    with pytest.raises(ChildError, match=message) as caught:
        call(child, name)
    assert type(caught.value) is ChildError
    assert child_pid(child) == pid


def test_prints_do_not_reach_the_protocol(child: Child) -> None:
    assert call(child, "noisy") == "real"
    assert call(child, "read_input") == ""


def test_no_secret_and_no_core_dump(child: Child) -> None:
    assert call(child, "secret") is None
    assert call(child, "core") == 0


def test_large_arguments_and_replies(child: Child) -> None:
    text = "é" * 300_000
    assert call(child, "double", x=text) == text * 2


def test_a_reply_over_the_limit_is_a_crash(tmp_path: Path, child: Child) -> None:
    with Child(["operations_for_test:long"], limits=Limits(reply_bytes=1000)) as small:
        assert call(small, "long", n=900) == "x" * 900
        with pytest.raises(ChildCrashed, match="more than 1000 bytes"):
            call(small, "long", n=200_000)


def test_the_whole_group_is_killed(child: Child) -> None:
    grandchild = int(str(call(child, "offspring")))
    child.close()
    assert gone(grandchild)


def test_only_listed_operations_and_json_arguments(child: Child) -> None:
    with pytest.raises(ChildError, match="not on this child's list"):
        child.call("os:system", {"command": "true"}, seconds=1)
    with pytest.raises(ChildError, match="not JSON"):
        call(child, "double", x={1, 2})
    assert child.pid is None  # nothing was started for it


def test_the_child_itself_refuses_what_is_not_listed(child: Child) -> None:
    with Child(["operations_for_test:pid"]) as narrow:
        narrow.start()
        narrow._operations += ("os:getpid",)  # as if the parent's check had failed
        with pytest.raises(ChildError, match="not on the list"):
            narrow.call("os:getpid", {}, seconds=5)


def test_start_up_has_its_own_limit(tmp_path: Path, child: Child) -> None:
    (tmp_path / "slow_import_for_test.py").write_text("import time; time.sleep(30)")
    (tmp_path / "broken_import_for_test.py").write_text("raise RuntimeError('broken on purpose')")
    slow = Child([], preload=["slow_import_for_test"], limits=Limits(start_seconds=0.5))
    with pytest.raises(ChildTimeout, match="its imports"):
        slow.start()
    broken = Child([], preload=["broken_import_for_test"])
    with pytest.raises(ChildCrashed, match="broken on purpose"):
        broken.start()
    assert (slow.pid, broken.pid) == (None, None)


def test_calls_from_threads_run_one_after_another(child: Child) -> None:
    results: dict[int, object] = {}

    def work(x: int) -> None:
        results[x] = call(child, "double", x=x)

    threads = [threading.Thread(target=work, args=(x,)) for x in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {x: 2 * x for x in range(16)}


def test_a_forgotten_child_is_killed(child: Child) -> None:
    forgotten = Child(["operations_for_test:pid"])
    pid = child_pid(forgotten)
    del forgotten
    gc.collect()
    assert gone(pid)


def test_close_twice_and_use_again(child: Child) -> None:
    call(child, "pid")
    child.close()
    child.close()
    assert call(child, "double", x=1) == 2


@pytest.mark.parametrize("operation", ["sleep", "pid"])
def test_it_dies_with_its_parent(child: Child, operation: str) -> None:
    code = f"""
        import os, sys, threading
        from ponder.child import Child
        child = Child(["operations_for_test:sleep", "operations_for_test:pid"])
        child.start()
        arguments = {{"seconds": 60}} if {operation!r} == "sleep" else {{}}
        work = threading.Thread(
            target=child.call, args=("operations_for_test:{operation}", arguments), kwargs={{"seconds": 60}}
        )
        work.start()
        print(child.pid, flush=True)
        sys.stdin.read()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.3)
        assert Path(f"/proc/{pid}").exists()
        parent.kill()
    assert gone(pid)
