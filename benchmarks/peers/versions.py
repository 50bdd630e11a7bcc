"""What code an outcome is of, so that an outcome of older code is not taken for today's."""

from __future__ import annotations

import ast
import hashlib
from pathlib import Path

from benchmarks.peers.environments import ROOT, VERSIONS
from benchmarks.peers.systems import System

from ponder.strategies import plan

__all__ = ["sources", "version"]

STRATEGIES = ROOT / "src" / "ponder" / "strategies"


def version(system: System) -> str:
    """A peer's release; for ponder a hash of the strategy with the strategies and steps that it uses."""
    if system.kind != "ponder":
        return VERSIONS[system.kind]
    found = sources(STRATEGIES, plan(system.options["strategy"]).name)
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in found)).hexdigest()[:12]


def sources(folder: Path, name: str) -> list[Path]:
    """The file of a strategy and those of the folder that it imports, directly or not, sorted."""
    waiting, found = [name], set[Path]()
    while waiting:
        path = folder / f"{waiting.pop()}.py"
        if path in found or not path.exists():
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(alias.name for alias in node.names)]
                waiting += [each.rpartition(".")[2] for each in names]
    return sorted(found)
