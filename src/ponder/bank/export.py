"""Write a bank as a table, a row a sample: CSV, JSON lines, or Parquet (which needs pyarrow).

The columns are those that the import of JSON lines reads, so that what is exported can be imported again.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from ponder.bank.reading import TaskBank
from ponder.errors import InputError, MissingExtra

__all__ = ["COLUMNS", "export", "rows"]

COLUMNS: dict[str, type] = {
    "run": str,
    "model": str,
    "task": str,
    "id": str,
    "question": str,
    "answer": str,
    "index": int,
    "sample": str,
    "reasoning": str,
    "choice": str,
    "correct": bool,
    "prompt_tokens": int,
    "tokens": int,
    "flop": float,
    "finish": str,
}
"""The columns with the type of their values; each may be unknown. JSON lines have `options`, too, a list."""

_TEXTS = ("question", "options", "answer", "sample", "reasoning")
_GROUP = 10_000  # rows that are held at a time
Row = dict[str, Any]


def rows(banks: Iterable[TaskBank], *, texts: bool = True) -> Iterator[Row]:
    """One row a sample, by task, problem and sample; without `texts` those of the columns stay empty."""
    for bank in banks:
        for drawn in bank.problems:
            asked = drawn.question
            for place, sample in enumerate(drawn.samples):
                row = {
                    "run": bank.run,
                    "model": bank.model,
                    "task": bank.task,
                    "id": asked.id.removeprefix(f"{bank.task}/"),
                    "question": asked.text,
                    "options": asked.data.get("options"),
                    "answer": drawn.key,
                    "index": sample.index,
                    "sample": sample.text,
                    "reasoning": sample.reasoning,
                    "choice": sample.choice,
                    "correct": drawn.correct[place],
                    "prompt_tokens": drawn.prompt_tokens[place],
                    "tokens": sample.tokens,
                    "flop": drawn.flop[place],
                    "finish": "length" if sample.finish == "length" else "stop",
                }
                yield row if texts else row | dict.fromkeys(_TEXTS)


def export(banks: Sequence[TaskBank], target: Path, *, texts: bool = True) -> int:
    """Write the banks to a `.csv`, `.jsonl` or `.parquet` file, whole or not at all; the number of rows.

    Raises InputError for another ending, MissingExtra where Parquet cannot be written.
    """
    write = _WRITERS.get(target.suffix.casefold())
    if write is None:
        raise InputError(f"to: {target} ends in none of {', '.join(_WRITERS)}; name a file that does.")
    fresh = target.with_name(f".{target.name}.new")
    try:
        written = write(rows(banks, texts=texts), fresh)
        fresh.replace(target)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise InputError(f"to: {target} cannot be written ({why}); choose another file.") from None
    finally:
        fresh.unlink(missing_ok=True)
    return written


def _csv(found: Iterable[Row], path: Path) -> int:
    count = 0
    # A lone surrogate has no UTF-8: it becomes "?".
    with path.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for row in found:
            writer.writerow(_cell(row[name]) for name in COLUMNS)
            count += 1
    return count


def _cell(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def _jsonl(found: Iterable[Row], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in found:
            # A verdict that is not there is said to be none: what is only left out, a key would decide.
            told = {name: value for name, value in row.items() if value is not None or name == "correct"}
            file.write(json.dumps(told) + "\n")
            count += 1
    return count


def _parquet(found: Iterable[Row], path: Path) -> int:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise MissingExtra("to: a Parquet file", "bank") from None
    kinds = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}
    schema = pa.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    count, source = 0, iter(found)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while group := [_storable(row) for row in islice(source, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            count += len(group)
    return count


def _storable(row: Row) -> Row:
    columns = {name: row[name] for name in COLUMNS}
    return {
        name: value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for name, value in columns.items()
    }


_WRITERS: dict[str, Callable[[Iterable[Row], Path], int]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".jsonl": _jsonl,
}
