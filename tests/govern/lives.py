"""Small lifecycles for the tests of accounting."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from ponder.govern.accounting import Account, Estimate, Facts, Finding, Lifecycle, Stage, account, chosen
from ponder.govern.accounting import read_lifecycle as read_file

ON = date(2026, 11, 26)


def exactly(kind: str, flop: float | None, name: str = "", **about: object) -> Stage:
    """A stage of known FLOP by operations."""
    estimate = None if flop is None else Estimate.point(flop)
    return Stage(kind, name or kind, architecture=estimate, **about)  # type: ignore[arg-type]


def life(*stages: Stage, known: date | None = None, **facts: object) -> Lifecycle:
    return Lifecycle("m", stages, Facts(**facts), known)  # type: ignore[arg-type]


def under(lifecycle: Lifecycle, rule: str, on: date = ON) -> Finding:
    return account(lifecycle, chosen([rule]), on=on).findings[0]


def every(lifecycle: Lifecycle, on: date = ON) -> Account:
    return account(lifecycle, chosen([]), on=on)


def written(folder: Path, text: str) -> Lifecycle:
    """A lifecycle from the text of a YAML file."""
    path = folder / "life.yaml"
    path.write_text(text, "utf-8")
    return read_file(path, ledger=str(folder / "ledger.db"))[0]
