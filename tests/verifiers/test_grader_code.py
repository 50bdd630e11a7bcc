"""Programs are graded by their tests, cannot fake a pass, and get nowhere: each attempt here is a real one."""

# ruff: noqa: E501 (a program is easier to read as one entry of its table)

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponder.core import Prompt, Question
from ponder.errors import ChildCrashed, InputError, TaskFileError
from ponder.tasks import load
from ponder.tasks.extract import choice as read
from ponder.verifiers import _jail, code_child, grader, jail_child
from ponder.verifiers._jail import JailLimits, escapes, run_script
from ponder.verifiers.graders.code import ALLOW, Code, create

EMPTY = Question("q", "q", Prompt(()), Prompt(()), extract="code")
LIMITS = JailLimits(seconds=2, wall_seconds=20.0, memory_bytes=256 << 20, output_bytes=1 << 16)
ADD = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
RIGHT = "def add(a, b):\n    return a + b"


def obstacle() -> str | None:
    """Why this machine cannot isolate, None where it can."""
    try:
        able = escapes(LIMITS)
    except ChildCrashed as error:
        return str(error)
    return "; ".join(able) or None


@pytest.fixture(scope="module")
def code(lacking: Callable[[str], None]) -> Code:
    found = obstacle()
    if found is not None:
        lacking(f"isolation of programs ({found})")
    return Code(LIMITS)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path) -> Iterator[None]:
    yield
    assert not re.search(r"jail_child\.py", running_commands())


def running_commands() -> str:
    mine = f"{os.getpid()}"
    shown = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    return "\n".join(line for line in shown.splitlines() if line.split()[0] in (mine, "1"))


# ------------------------------------------------------------------------------ switching on, and refusals


def test_it_is_off_unless_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in (None, "", "0", "true"):
        monkeypatch.delenv(ALLOW, raising=False)
        if value is not None:
            monkeypatch.setenv(ALLOW, value)
        with pytest.raises(InputError, match="PONDER_ALLOW_CODE=1 to switch it on"):
            grader("code")


def test_switched_on_it_grades(code: Code, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW, "1")
    assert grader("code").grade(EMPTY, ADD, RIGHT) is True


@pytest.mark.parametrize(
    ("wall", "found"),
    [
        ("    _filter_system_calls()\n", "open a network socket.*trace a process"),
        ("    _restrict_files()\n", "read your files"),
        ("    _set_limits(limits)\n", "take more memory"),
        ("    os.environ.clear()\n", "read the environment"),
    ],
)
def test_a_wall_with_a_hole_is_noticed_and_refused(
    code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wall: str, found: str
) -> None:
    for name in ("jail_child.py", "code_child.py", "jail_probe.py"):
        shutil.copy(_jail._HERE / name, tmp_path)
    whole = (tmp_path / "jail_child.py").read_text()
    assert wall in whole
    (tmp_path / "jail_child.py").write_text(whole.replace(wall, "\n"))
    monkeypatch.setattr(_jail, "_HERE", tmp_path)
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(InputError, match=f"cannot isolate a program .*{found}"):
        create()


def test_it_holds_without_namespaces(code: Code, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("jail_child.py", "code_child.py", "jail_probe.py"):
        shutil.copy(_jail._HERE / name, tmp_path)
    whole = (tmp_path / "jail_child.py").read_text()
    line = "    _libc.unshare(ctypes.c_int(_NAMESPACES))\n"
    assert line in whole
    (tmp_path / "jail_child.py").write_text(whole.replace(line, ""))
    monkeypatch.setattr(_jail, "_HERE", tmp_path)
    assert escapes(LIMITS) == []
    assert code.grade(EMPTY, ADD, RIGHT) is True


@pytest.mark.parametrize(
    ("line", "broken"),
    [
        ("    if version < 1:", "    if True:"),
        ('os.uname().machine != "x86_64"', "True"),
    ],
)
def test_a_machine_without_the_walls_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, broken: str
) -> None:
    for name in ("jail_child.py", "code_child.py", "jail_probe.py"):
        shutil.copy(_jail._HERE / name, tmp_path)
    whole = (tmp_path / "jail_child.py").read_text()
    assert line in whole
    (tmp_path / "jail_child.py").write_text(whole.replace(line, broken))
    monkeypatch.setattr(_jail, "_HERE", tmp_path)
    monkeypatch.setenv(ALLOW, "1")
    with pytest.raises(InputError, match=r"cannot isolate a program \(An isolated process could not be made"):
        create()


def test_without_a_process_it_is_an_error_and_not_a_grade(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(ChildCrashed):
        code.grade(EMPTY, ADD, RIGHT)


def test_the_numbers_of_the_system_calls_are_the_kernels(lacking: Callable[[str], None]) -> None:
    header = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
    if not header.exists():
        lacking("the kernel's headers")
    known = dict(re.findall(r"#define __NR_(\w+) (\d+)", header.read_text()))
    assert {name: str(number) for name, number in jail_child._ALLOWED.items()}.items() <= known.items()
    assert [known[n] for n in ("open", "openat", "fcntl")] == [str(r[0]) for r in jail_child._ALLOWED_WITH]
    assert known["ioctl"] == str(jail_child._IOCTL)
    dangerous = "socket clone clone3 fork vfork execve execveat kill tkill tgkill ptrace prctl unshare setns "
    dangerous += "io_uring_setup bpf memfd_create rename unlink chmod truncate mount prlimit64 openat2 creat"
    assert not set(dangerous.split()) & jail_child._ALLOWED.keys()


# ------------------------------------------------------------------------------------- honest programs


@pytest.mark.parametrize(
    ("tests", "program", "correct"),
    [
        (ADD, RIGHT, True),
        (ADD, "def add(a, b):\n    return a - b", False),
        (ADD, "def add(a, b):\n    return str(a + b)", False),
        (ADD, "add = lambda a, b: a + b\nprint('x' * 10**6)", True),
        (ADD, "def add(a, b) return", False),
        (ADD, "def other(a, b):\n    return 3", False),
        (ADD, "add = None", False),
        ("assert f() == (1, [2.5, {'a': {1}}], b'x', None, True)", "def f():\n    return (1, [2.5, {'a': {1}}], b'x', None, True)", True),
        ("assert f() == (1, 2)", "def f():\n    return [1, 2]", False),
        ("assert f(3000) == 10**3000", "def f(n):\n    return 10**n", True),
        ("import math\nfor x in range(9):\n    assert math.isclose(f(x=x), math.sqrt(x))", "def f(x):\n    return x ** 0.5", True),
        ("def check(candidate):\n    assert list(candidate(3)) == [0, 1, 2]\ncheck(count)", "def count(n):\n    yield from range(n)", True),
        ("try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass", "def f(x):\n    raise ValueError(x)", True),
        ("try:\n    f(-1)\n    assert False\nexcept ValueError:\n    pass", "def f(x):\n    raise KeyError(x)", False),
        ("assert f(g(1)) == 3", "def f(x): return x + 1\ndef g(x): return x + 1", True),
        ("assert f() == 1", "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(): return P(1).x", True),
    ],
)  # fmt: skip
def test_python_tests(code: Code, tests: str, program: str, correct: bool) -> None:
    assert code.grade(EMPTY, tests, program) is correct


@pytest.mark.parametrize(
    "noise", ["print('ok', flush=True)", "print('x' * 10**6)", "import os\nos.write(1, b'passed')"]
)
def test_what_the_tests_print_decides_nothing(code: Code, noise: str) -> None:
    for tests in (f"{noise}\n{ADD}", f"{ADD}\n{noise}"):
        assert code.grade(EMPTY, tests, RIGHT) is True
        assert code.grade(EMPTY, tests, "def add(a, b):\n    return a - b") is False


@pytest.mark.parametrize(
    ("program", "correct"),
    [
        ("print(int(input()) * 2)", True),
        ("import sys\nprint(2 * int(sys.stdin.read()), ' ')\nsys.exit(0)", True),
        ("print(2 * int(open(0).read()))", True),
        ("def main():\n    print(2 * int(input()))\nif __name__ == '__main__':\n    main()", True),
        ("print(4)", False),
        ("n = int(input())\nprint(n * 2, n)", False),
        ("n = int(input())\nprint(n * 2)\n1 / 0", False),
        ("n = int(input())\nprint(n * 2)\nimport sys\nsys.exit('failed')", False),
        ("", False),
    ],
)
def test_pairs_of_input_and_output(code: Code, program: str, correct: bool) -> None:
    key = json.dumps([{"input": "2\n", "output": "4\n"}, {"input": "-50", "output": "-100"}])
    assert code.grade(EMPTY, key, program) is correct
    assert code.grade(EMPTY, key, key) is False


def test_tests_that_cannot_be_used_are_an_error_of_the_file(code: Code) -> None:
    for tests in ("assert add(", "\0", "(" * 100_000):
        with pytest.raises(InputError, match="are not Python"):
            code.grade(EMPTY, tests, RIGHT)
    with pytest.raises(InputError, match="call no function of the program"):
        code.grade(EMPTY, "assert len('abc') == 3", RIGHT)


# ------------------------------------------------------------------------------------- hostile programs

ATTACKS = {
    "never ends": "while True: pass",
    "hoards memory": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "forks": "import os\nwhile True: os.fork()",
    "starts a daemon": "import subprocess\nsubprocess.Popen(['sleep', '77'], start_new_session=True)",
    "starts threads": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,)).start()",
    "connects": "import socket\nsocket.create_connection(('127.0.0.1', 80))",
    "resolves": "import socket\nsocket.getaddrinfo('localhost', 80)",
    "writes": "open('/tmp/ponder-escaped', 'w').write('x')",
    "writes by descriptor": "import os\nos.open('/tmp/ponder-escaped', os.O_CREAT | os.O_WRONLY)",
    "makes a folder": "import os\nos.mkdir('/tmp/ponder-escaped')",
    "removes": "import os\nos.unlink({secret!r})",
    "changes a mode": "import os\nos.chmod({secret!r}, 0)",
    "reads a file": "assert open({secret!r}).read()",
    "reads /etc/passwd": "open('/etc/passwd').read()",
    "lists the root": "import os\nos.listdir('/')",
    "reads the parent's environment": "import os\nopen(f'/proc/{{os.getppid()}}/environ').read()",
    "reads its own memory": "open('/proc/self/mem', 'rb').read(1)",
    "reads the environment": "import os\nos.environ['PATH']",
    "kills its parent": "import os\nos.kill(os.getppid(), 9)",
    "kills everyone": "import os\nos.kill(-1, 9)",
    "signals by a descriptor": "import fcntl, os\nfcntl.fcntl(0, 8, os.getppid())",
    "traces": "import ctypes\nif ctypes.CDLL(None).ptrace(16, {parent}, 0, 0) != 0: raise SystemExit",
    "runs a command": "import os\nos.execv('/bin/true', ['true'])",
    "uses the 32-bit calls": "import ctypes\nctypes.CDLL(None).syscall(0x40000000 + 39)",
    "raises its limits": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "crashes": "import ctypes\nctypes.string_at(0)",
    "recurses": "import sys\nsys.setrecursionlimit(10**9)\nf = lambda: f()\nf()",
    "sleeps": "import time\ntime.sleep(999)",
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_gains_nothing(code: Code, tmp_path: Path, attack: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    program = ATTACKS[attack].format(secret=str(secret), parent=os.getpid())
    quick = Code(JailLimits(seconds=1, wall_seconds=3.0, memory_bytes=256 << 20))
    # A pass is only for a program that gets past its attack.
    assert quick.grade(EMPTY, "assert add(1, 2) == 3", f"{program}\n{RIGHT}") is False
    assert secret.read_text() == "secret"
    assert secret.stat().st_mode & 0o777
    assert not Path("/tmp/ponder-escaped").exists()
    assert code.grade(EMPTY, ADD, RIGHT) is True


FAKES = {
    "leaves early": "import os\nos._exit(0)",
    "exits": "import sys\nsys.exit(0)",
    "prints the token": "print('passed', flush=True)\nimport os\nos.write(1, b'\\x06passed')",
    "writes the token everywhere": "import os\nfor d in range(99):\n    try: os.write(d, b'passed')\n    except OSError: pass",
    "answers before it is asked": "import os\nfor d in range(3, 99):\n    try: os.write(d, b'{\"value\":true}\\n' * 9)\n    except OSError: pass",
    "equals everything": "class E(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef add(a, b): return E(0)",
    "equals everything, unplain": "class E:\n    def __eq__(self, other): return True\ndef add(a, b): return E()",
    "replaces what compares": "import builtins\nbuiltins.AssertionError = Exception\ndef add(a, b): return 0",
    "defines the tests' names": "def assert_(x): return True\nall = isinstance = lambda *a: True\ndef add(a, b): return 0",
    "changes the harness": "import sys\nfor m in list(sys.modules.values()):\n    if hasattr(m, 'encoded'): m.encoded = lambda v: True\ndef add(a, b): return 0",
    "looks for the tests": "import gc\nexpected = [o for o in gc.get_objects() if isinstance(o, str) and '== 3' in o and 'gc' not in o]\nif not expected: raise SystemExit\ndef add(a, b): return 3",
    "ends at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef add(a, b): raise SystemExit",
    "raises what is caught": "def add(a, b): raise AssertionError",
    "raises a stop": "def add(a, b): raise KeyboardInterrupt",
    "answers too much": "def add(a, b): return 'x' * 10**9",
    "answers too deep": "def add(a, b):\n    x = []\n    for _ in range(10**5): x = [x]\n    return x",
}  # fmt: skip


@pytest.mark.parametrize("fake", FAKES)
def test_a_pass_cannot_be_faked(code: Code, fake: str) -> None:
    assert code.grade(EMPTY, "assert all([add(1, 2) == 3])", f"{FAKES[fake]}\n# add") is False
    pairs = json.dumps([{"input": "1", "output": "2"}])
    assert code.grade(EMPTY, pairs, FAKES[fake]) is False


def test_a_program_that_ends_is_not_taken_for_one_that_raises(code: Code) -> None:
    tests = "try:\n    f(-1)\n    assert False\nexcept Exception:\n    pass"
    assert code.grade(EMPTY, tests, "def f(x): raise ValueError") is True
    assert code.grade(EMPTY, tests, "import os\ndef f(x): os._exit(0)") is False


def test_huge_output_is_cut_off(code: Code) -> None:
    began = time.monotonic()
    ended = run_script("while True: print('x' * 10**6)", "", LIMITS)
    assert ended.code is None
    assert len(ended.output) <= LIMITS.output_bytes
    assert time.monotonic() - began < LIMITS.wall_seconds


def test_it_sees_no_descriptor_and_nothing_of_the_environment(
    code: Code, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    found = "[d for d in range(999) if not os.system is None and exists(d)]"
    program = f"""
        import os
        def exists(d):
            try: os.fstat(d)
            except OSError: return False
            return True
        print({found}, dict(os.environ))
    """
    with Path(os.devnull).open() as inherited:
        os.set_inheritable(inherited.fileno(), True)
        ended = run_script(textwrap.dedent(program), "", LIMITS)
    assert ended.output == b"[0, 1, 2] {}\n"


def test_it_dies_with_the_process_that_grades(code: Code) -> None:
    script = (
        "from ponder.verifiers._jail import JailLimits, run_script\n"
        "print('started', flush=True)\nrun_script('import time; time.sleep(600)', '', JailLimits())"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        child = _child_of(process.pid)
        process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{child}/cmdline").exists()


def _child_of(pid: int) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # Locked in, once its limits are set.
        if found and re.search(r"Max file size +0 ", Path(f"/proc/{found[0]}/limits").read_text()):
            return found[0]
        time.sleep(0.02)
    raise AssertionError("no isolated process was started")


# --------------------------------------------------------------------------------- data and problem files

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text() | st.integers(), inner, max_size=4)
        | st.sets(st.integers() | st.text(), max_size=4)
        | st.complex_numbers(allow_nan=False)
    ),
    max_leaves=12,
)


@given(value=plain)
def test_plain_data_keeps_its_value_and_its_types(value: object) -> None:
    back = code_child.decoded(json.loads(json.dumps(code_child.encoded(value))))
    assert (back, repr(type(back))) == (value, repr(type(value)))


def test_a_file_with_tests(tmp_path: Path, code: Code) -> None:
    path = tmp_path / "mine.jsonl"
    pairs = [{"input": "2", "output": "4"}]
    path.write_text(
        json.dumps({"question": "Write add.", "tests": ADD})
        + "\n"
        + json.dumps({"question": "Double it.", "tests": pairs, "grader": "code"})
    )
    found = load(str(path), problems=2, seed=0)
    assert found.grader == "code"
    add, double = found.problems
    assert "assert" not in json.dumps(add.question.to_json())
    assert "```" in found.prompt_text
    program = read(add.question, f"Here:\n```python\n{RIGHT}\n```\nUse it:\n```\nprint(add(1, 2))\n```")
    assert program == RIGHT
    assert code.grade(add.question, add.key, program) is True
    assert code.grade(double.question, double.key, "print(2 * int(input()))") is True


@pytest.mark.parametrize("tests", [[], 3, {}, "", [3], [{"input": "1"}], [{"input": 1, "output": "1"}]])
def test_tests_of_another_form_are_refused_with_their_line(tmp_path: Path, tests: object) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"question": "q", "tests": tests}))
    with pytest.raises(TaskFileError, match=r"line 1: tests (must be|is empty)"):
        load(str(path), problems=1, seed=0)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("```py\nx = 1\n", "x = 1"),
        ("def f():\n  return 1", "def f():\n  return 1"),
        ("```\n    import os\n    print(1)\n```", "import os\nprint(1)"),
        ("```python\nx = 1\n```\nor better\n```python\nx = 2\n```", "x = 2"),
        ("I cannot do this, for example because.", None),
        ("```\n1 2 3\n```", None),
        ("", None),
    ],
)
def test_a_program_is_read_from_a_text(text: str, found: str | None) -> None:
    assert read(EMPTY, text) == found
    assert found is None or read(EMPTY, found) == found
