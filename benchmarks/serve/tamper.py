"""A server's ledger, changed behind its back in one place at a time: how often `verify` finds it."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.serve.serving import serving, thinker

from ponder.ledger import checkpoint, verify
from ponder.ledger.chain import next_entry
from ponder.ledger.schema import TYPED

__all__ = ["tamper"]

Raw = sqlite3.Connection


def tamper(*, small: bool) -> dict[str, Any]:
    times, chance = (5 if small else 200), random.Random(11)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving(folder, thinker()) as served:
            for turn in range(12):
                served.client().chat.completions.create(
                    model="ponder", messages=[{"role": "user", "content": f"What is {turn} + 4?"}]
                )
        kept = checkpoint(folder / "ledger.sqlite")
        return {what: _found(folder, change, kept, times, chance) for what, change in _CHANGES.items()}


def _found(
    folder: Path, change: Callable[[Raw, random.Random], None], kept: Any, times: int, chance: random.Random
) -> dict[str, int]:
    alone = held = 0
    for _ in range(times):
        copy = Path(shutil.copy(folder / "ledger.sqlite", folder / "copy.sqlite"))
        with closing(sqlite3.connect(copy, isolation_level=None)) as raw:
            raw.execute("PRAGMA synchronous = OFF")
            change(raw, chance)
        alone += not verify(copy).ok
        held += not verify(copy, checkpoint=kept).ok
    return {"times": times, "found": alone, "found_with_a_checkpoint": held}


def _row(raw: Raw, chance: random.Random) -> tuple[str, int]:
    """A table and the place of one of its rows."""
    tables = [name for name in TYPED if raw.execute(f"SELECT count(*) FROM {name}").fetchone()[0]]
    table = chance.choice(tables)
    places = [seq for (seq,) in raw.execute(f"SELECT seq FROM {table}")]
    return table, chance.choice(places)


def _edit(raw: Raw, chance: random.Random) -> None:
    table, seq = _row(raw, chance)
    column = chance.choice([column.name for column in TYPED[table].columns if column.name != "seq"])
    (before,) = raw.execute(f"SELECT {column} FROM {table} WHERE seq = ?", (seq,)).fetchone()
    unused = 1_000_003  # a number that no unique column has
    after = f"{before} " if isinstance(before, str) else 0.5 if before is None else before + unused
    raw.execute(f"UPDATE {table} SET {column} = ? WHERE seq = ?", (after, seq))


def _swap(raw: Raw, chance: random.Random) -> None:
    """Two rows of a table change their places."""
    table = chance.choice(["texts", "events", "samples", "calls"])
    places = [seq for (seq,) in raw.execute(f"SELECT seq FROM {table}")]
    a, b = chance.sample(places, 2)
    for old, new in ((a, -1), (b, a), (-1, b)):
        raw.execute(f"UPDATE {table} SET seq = ? WHERE seq = ?", (new, old))


def _delete(raw: Raw, chance: random.Random) -> None:
    """A row, with its entry or without."""
    table, seq = _row(raw, chance)
    raw.execute(f"DELETE FROM {table} WHERE seq = ?", (seq,))
    if chance.random() < 0.5:
        raw.execute("DELETE FROM entries WHERE seq = ?", (seq,))


def _cut(raw: Raw, chance: random.Random) -> None:
    """The tail, rows and entries."""
    (size,) = raw.execute("SELECT max(seq) FROM entries").fetchone()
    last = chance.randrange(1, size)
    for table in (*TYPED, "entries"):
        raw.execute(f"DELETE FROM {table} WHERE seq > ?", (last,))


def _rewrite(raw: Raw, chance: random.Random) -> None:
    """A row is changed, and the chain made anew from there on, as whoever has the file and ponder can."""
    seqs = [seq for (seq,) in raw.execute("SELECT seq FROM events WHERE kind = 'told'")]
    changed = chance.choice(seqs)
    raw.execute('UPDATE events SET detail = \'{"content":"another answer"}\' WHERE seq = ?', (changed,))
    (prev,) = raw.execute("SELECT prev FROM entries WHERE seq = ?", (changed,)).fetchone()
    raw.row_factory = sqlite3.Row
    for entry in raw.execute("SELECT * FROM entries WHERE seq >= ? ORDER BY seq", (changed,)).fetchall():
        table = TYPED[entry["kind"]]
        row = raw.execute(f"SELECT * FROM {table.name} WHERE seq = ?", (entry["seq"],)).fetchone()
        new = next_entry(prev, table, dict(row))
        raw.execute(
            "UPDATE entries SET digest = ?, prev = ?, hash = ? WHERE seq = ?",
            (new.digest, prev, new.hash, new.seq),
        )
        prev = new.hash


_CHANGES: dict[str, Callable[[Raw, random.Random], None]] = {
    "edit": _edit,
    "swap": _swap,
    "deletion": _delete,
    "cut tail": _cut,
    "rewrite": _rewrite,
}
