"""The rooms' one-way imports: kept now, and found when broken."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "ponder"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    # A child of its own: the linter imports the tree it checks.
    code = (
        "import sys; sys.path.insert(0, 'src'); from importlinter.cli import lint_imports_command as c; c()"
    )
    return subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_contracts_are_kept(copy: Path) -> None:
    done = lint_imports(copy)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("core/asking.py", "import ponder.ledger", "Rooms import downwards only"),
        ("engines/http.py", "import ponder.verifiers", "Rooms import downwards only"),
        ("tasks/extract.py", "import ponder.solve", "Rooms import downwards only"),
        ("strategies/vote.py", "import socket", "Strategies and the core do no I/O"),
        ("strategies/_steps.py", "import ponder.tasks", "Strategies and the core do no I/O"),
        ("core/spending.py", "import pathlib", "Strategies and the core do no I/O"),
    ],
)
def test_a_planted_import_breaks_them(copy: Path, file: str, line: str, contract: str) -> None:
    path = copy / "src" / "ponder" / file
    path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert f"{contract} BROKEN" in done.stdout


def test_a_room_that_no_contract_names_breaks_them(copy: Path) -> None:
    (copy / "src" / "ponder" / "attic.py").write_text("", "utf-8")
    done = lint_imports(copy)
    assert done.returncode != 0
    assert "attic" in done.stdout


def test_files_stay_short() -> None:
    long = {p.name: n for p in SOURCE.rglob("*.py") if (n := len(p.read_text("utf-8").splitlines())) > 500}
    assert not long


def test_a_strategy_is_a_generator_of_at_most_30_lines() -> None:
    files = [p for p in (SOURCE / "strategies").glob("*.py") if not p.name.startswith("_")]
    assert files
    for path in files:
        tree = ast.parse(path.read_text("utf-8"))
        functions = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        main = functions[path.stem]
        assert main.end_lineno is not None
        assert main.end_lineno - main.lineno + 1 <= 30, path.name
        assert any(isinstance(n, ast.Yield | ast.YieldFrom) for n in ast.walk(main)), path.name
