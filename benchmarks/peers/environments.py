"""The peers' own virtual environments, made on first use outside the tree."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import platformdirs

__all__ = ["ROOT", "VERSIONS", "environment", "folder", "python"]

ROOT = Path(__file__).parents[2]
VERSIONS = MappingProxyType({"its_hub": "1.2.0", "optillm": "0.4.0"})

# optillm without its dependencies and then with those that its proxy, voting and best-of-N import: all of
# them would be gigabytes.
_INSTALLS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "its_hub": ((f"its_hub[lm]=={VERSIONS['its_hub']}",),),
        "optillm": (
            ("--no-deps", f"optillm=={VERSIONS['optillm']}"),
            (
                *("flask", "openai", "cerebras_cloud_sdk", "httpx", "numpy", "networkx"),
                *("z3-solver<=4.15.4.0", "sympy", "aiohttp", "pyyaml", "math-verify"),
            ),
        ),
    }
)


def folder() -> Path:
    """Where environments, the bank and the outcomes are kept: $PONDER_PEERS, or the user's cache."""
    named = os.environ.get("PONDER_PEERS")
    return Path(named) if named else Path(platformdirs.user_cache_dir("ponder")) / "peers"


def python(library: str) -> Path:
    """The interpreter that has `library`; it is installed on first use."""
    if library == "ponder":
        return Path(sys.executable)
    place = folder() / library
    interpreter, done = place / "bin" / "python", place / f".installed-{VERSIONS[library]}"
    if not done.exists():
        print(f"installing {library} {VERSIONS[library]} into {place} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        for packages in _INSTALLS[library]:
            subprocess.run([str(interpreter), "-m", "pip", "install", "--quiet", *packages], check=True)
        done.touch()
    return interpreter


def environment() -> dict[str, str]:
    """The variables of a worker: this tree's modules, and nothing that would change what it asks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PONDER_", "OPENAI_"))}
    return kept | {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PONDER_CONFIG": os.devnull}
