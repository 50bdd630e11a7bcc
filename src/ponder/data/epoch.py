"""Read Epoch AI's tables (CC BY 4.0) into the user's own rows, and flag what cannot be right in them.

Three kinds of CSV are known by their columns: models, chips, and what companies spend on compute. A figure
that contradicts the rest of its row is flagged and left out; everything else is written with Epoch's own
confidence.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ponder.data import table as packaged
from ponder.data.rows import folded, names, read_rows, user_folder
from ponder.errors import InputError

__all__ = ["Imported", "import_epoch"]

_LARGEST = 256 << 20
_LONGEST_FIELD = 1 << 20
_MOST = 1e100  # no figure's size; products of those below are numbers still

_MODEL = ("Model", "Publication date", "Parameters", "Training compute (FLOP)", "Confidence")
_CHIP = ("Hardware name", "Release date", "Tensor-FP16/BF16 performance (FLOP/s)", "Memory (bytes)",
         "Memory bandwidth (byte/s)", "TDP (W)")  # fmt: skip
_SPEND = ("Id", "Company", "Amount", "Category", "Date", "Confidence")

_CHIP_FIGURES = {
    "bf16": ("Tensor-FP16/BF16 performance (FLOP/s)", "FLOP/s"),
    "fp8": ("FP8 performance (FLOP/s)", "FLOP/s"),
    "fp4": ("FP4 performance (FLOP/s)", "FLOP/s"),
    "int8": ("INT8 performance (OP/s)", "FLOP/s"),
    "memory": ("Memory (bytes)", "B"),
    "bandwidth": ("Memory bandwidth (byte/s)", "B/s"),
    "tdp": ("TDP (W)", "W"),
    "price": ("Release price (USD)", "USD"),
}

_CLASSES = {"Confident": ("high", 3.0), "Likely": ("medium", 10.0), "Speculative": ("low", 30.0)}
"""What Epoch's classes of confidence say of training compute: within which factor it lies, at 90 %."""

_SIZE = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s?([BM])\b")  # "7B", but not the "7B" of "8x7B"
_SIZES = {"B": 1e9, "M": 1e6}
_MISNAMED = 3.0  # times: how far a model's parameters may be from the size in its name
_MOST_EXCESS = 10.0  # times 6·N·D: more compute than this is no one's
_ACCUMULATES = 3.0  # times its arithmetic in 32 bits: what a GeForce card only does when it sums in 16 bits


@dataclass(frozen=True)
class Imported:
    """What was read: the table's name, its rows as they were written, the file, and what was flagged."""

    table: str
    rows: Mapping[str, Mapping[str, Any]]
    path: Path
    flags: tuple[str, ...]


Row = dict[str, Any]
Reader = Callable[[Mapping[str, str], list[str]], Row]


def import_epoch(path: Path) -> Imported:
    """Read a CSV into the user's imported rows. Rows of an earlier import under other names are kept.

    Raises InputError for a file that cannot be read or lacks the columns of every kind, with their names.
    """
    table, name, read, lines = _opened(path)
    flags: list[str] = []
    found: dict[str, Row] = {}
    known = names(packaged(table)) if table in ("chips", "published_models") else {}
    for line in lines:
        title = line[name].strip()
        if not title:
            continue
        key = _key(known, title)
        if key in found:
            flags.append(f"{title}: a second row of this name is left out.")
            continue
        row = read(line, flags)
        if any(isinstance(value, Mapping) for value in row.values()):
            found[key] = {"title": title, **row}
    target = user_folder() / "imported" / f"{table}.toml"
    _write(target, {**read_rows(target), **found})
    return Imported(table, found, target, tuple(flags))


def _opened(path: Path) -> tuple[str, str, Reader, list[Mapping[str, str]]]:
    """The table that a file is for, the column of its names, how a row is read, and the rows."""
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"file: {path} is larger than {_LARGEST >> 20} MiB, and no table of Epoch's.")
        csv.field_size_limit(_LONGEST_FIELD)
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines: list[Mapping[str, str]] = [
                {str(k): str(v or "") for k, v in row.items() if k} for row in csv.DictReader(stream)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"file: {path} cannot be read as CSV: {error}.") from None
    columns = set(lines[0]) if lines else set()
    kinds: tuple[tuple[str, tuple[str, ...], Callable[[str], Reader]], ...] = (
        ("published_models", _MODEL, _model),
        ("chips", _CHIP, _chip),
        ("spend", _SPEND, _spend),
    )
    for table, needed, reader in kinds:
        if columns.issuperset(needed):
            return table, needed[0], reader(path.name), lines
    table, needed, _ = min(kinds, key=lambda kind: len(set(kind[1]) - columns) / len(kind[1]))
    lacks = ", ".join(each for each in needed if each not in columns)
    raise InputError(
        f"file: {path} is no table of Epoch AI's: for one of {table.replace('_', ' ')} it lacks the "
        f"columns {lacks}; download it anew from epoch.ai/data."
    )


def _key(known: Mapping[str, str], title: str) -> str:
    """The key of the package's row of this name, or one made from the name."""
    made = re.sub(r"[^a-z0-9.]+", "-", title.casefold()).strip("-") or "unnamed"
    return known.get(folded(title), made)


def _number(line: Mapping[str, str], column: str, flags: list[str], title: str) -> float | None:
    """A cell's number above zero; None where it is empty, or flagged as no such number."""
    text = line.get(column, "").strip()
    if not text:
        return None
    try:
        value = float(text.replace(",", ""))
    except ValueError:
        value = math.nan
    if 1 / _MOST < value < _MOST:
        return value
    flags.append(
        f"{title}: {column} is {text[:40]!r}, no number above zero and below {_MOST:g}; it is left out."
    )
    return None


def _today() -> str:
    """When a row without any date was read."""
    return date.today().isoformat()


def _told(source: str, seen: str, confidence: str) -> Row:
    return {"source": source, "date": seen, "confidence": confidence}


# ---------------------------------------------------------------- models


def _model(file: str) -> Reader:
    source = f"Epoch AI, Data on AI Models (CC BY 4.0), {file}"

    def read(line: Mapping[str, str], flags: list[str]) -> Row:
        title = line["Model"].strip()
        seen = (line.get("Last modified", "") or line["Publication date"])[:10] or _today()
        confidence, factor = _CLASSES.get(line["Confidence"], ("low", 30.0))
        size, flop, tokens = (
            _number(line, column, flags, title)
            for column in ("Parameters", "Training compute (FLOP)", "Training dataset size (datapoints)")
        )
        told = _told(source, seen, confidence)
        row: Row = {"released": line["Publication date"][:10]}
        doubt = None if size is None else _size_doubt(title, size, flop, tokens, line)
        if doubt:
            flags.append(f"{title}: {doubt}; the parameters are left out.")
        elif size is not None:
            row["parameters"] = {"value": size, "unit": "1", "point": True, **told}
        if flop is not None:
            low, high = _flop_interval(line, flop, factor, flags, title)
            row["training_flop"] = {"value": flop, "low": low, "high": high, "unit": "FLOP", **told}
        return row

    return read


def _size_doubt(
    title: str, size: float, flop: float | None, tokens: float | None, line: Mapping[str, str]
) -> str | None:
    """Why a parameter count cannot be: the size in the model's name, or far more compute than 6·N·D."""
    match = _SIZE.search(title)
    said = float(match[1]) * _SIZES[match[2]] if match else size
    if match and not said / _MISNAMED <= size <= said * _MISNAMED:
        return f"it is listed with {size:.3g} parameters, and its name says {match[0]}"
    language = "Language" in line.get("Domain", "")  # elsewhere what is counted are images, molecules, moves
    if flop is None or tokens is None or not language or line.get("Base model", "").strip():
        return None
    epochs = max(1.0, _number(line, "Epochs", [], title) or 1.0)
    excess = flop / (6.0 * size * tokens * epochs)
    if excess > _MOST_EXCESS:
        return (
            f"{flop:.3g} FLOP are {excess:.0f} times what {size:.3g} parameters take for {tokens:.3g} "
            "tokens, so one of the three is wrong"
        )
    return None


def _flop_interval(
    line: Mapping[str, str], flop: float, factor: float, flags: list[str], title: str
) -> tuple[float, float]:
    """Epoch's own bounds where it gives both and they hold the value, else those of its class."""
    names = ("Training compute lower bound", "Training compute upper bound")
    low, high = (_number(line, column, flags, title) for column in names)
    if low is None or high is None or low == high:
        return flop / factor, flop * factor
    if not low <= flop <= high:
        flags.append(
            f"{title}: its bounds of {low:.3g} to {high:.3g} FLOP do not hold {flop:.3g}; "
            "its class's are used."
        )
        return flop / factor, flop * factor
    return low, high


# ---------------------------------------------------------------- chips


def _chip(file: str) -> Reader:
    source = f"Epoch AI, Machine Learning Hardware (CC BY 4.0), {file}"

    def read(line: Mapping[str, str], flags: list[str]) -> Row:
        title = line["Hardware name"].strip()
        seen = (line.get("Last modified", "") or line["Release date"])[:10] or _today()
        told = _told(source, seen, "high")
        row: Row = {"released": line["Release date"][:10]}
        for key, (column, unit) in _CHIP_FIGURES.items():
            value = _number(line, column, flags, title)
            if value is not None:
                row[key] = {"value": value, "unit": unit, "point": True, **told}
        plain = _number(line, "FP32 (single precision) performance (FLOP/s)", [], title)
        flags += [f"{title}: {doubt}" for doubt in _chip_doubts(title, row, plain)]
        return row

    return read


def _chip_doubts(title: str, row: Row, plain: float | None) -> Iterator[str]:
    """Why figures cannot be what they are listed as; each is taken out of the row."""
    bf16, fp8 = (row[key]["value"] if key in row else None for key in ("bf16", "fp8"))
    if "GeForce" in title and bf16 and plain and bf16 > _ACCUMULATES * plain:
        del row["bf16"]
        yield (
            f"{bf16:.3g} FLOP/s in 16 bits are {bf16 / plain:.1f} times its 32-bit arithmetic: the rate with "
            f"sums in 16 bits, which training does not use (with sums in 32 bits it is half); it is left out."
        )
    if bf16 and fp8 and fp8 < 0.99 * bf16:
        del row["fp8"]
        yield f"{fp8:.3g} FLOP/s in 8 bits are fewer than its {bf16:.3g} in 16; the former are left out."


# ---------------------------------------------------------------- spending


def _spend(file: str) -> Reader:
    source = f"Epoch AI, AI Companies (CC BY 4.0), {file}"

    def read(line: Mapping[str, str], flags: list[str]) -> Row:
        title = line["Id"].strip()
        amount = _number(line, "Amount", flags, title)
        seen = _american(line.get("Report date", "")) or _american(line["Date"])
        if amount is None or seen is None:
            if seen is None:
                flags.append(f"{title}: {line['Date'][:40]!r} is no date; the row is left out.")
            return {}
        confidence = _CLASSES.get(line["Confidence"], ("low", 0.0))[0]
        until = _american(line["Date"]) or seen
        told = _told(source, seen, confidence)
        return {
            "company": line["Company"],
            "category": line["Category"],
            "until": until,
            "amount": {"value": amount, "unit": "USD", "point": True, **told},
        }

    return read


def _american(text: str) -> str | None:
    """12/31/2024 as 2024-12-31; None where it is no such date."""
    try:
        return datetime.strptime(text.strip(), "%m/%d/%Y").date().isoformat()
    except ValueError:
        return None


# ---------------------------------------------------------------- the file


def _write(path: Path, rows: Mapping[str, Row]) -> None:
    """TOML, whole or not at all. Raises InputError where the folder cannot be written."""
    lines = [
        "# Written by `ponder data import`, which replaces rows here. Your own go into the folder above.",
        "",
    ]
    for key, row in sorted(rows.items()):
        lines.append(f"[{_quoted(key)}]")
        lines += [f"{name} = {_value(value)}" for name, value in row.items()]
        lines.append("")
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text("\n".join(lines), "utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(
            f"data folder: {path.parent} cannot be written ({error.strerror or error})."
        ) from None


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", r"\u007f")


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _quoted(value)
    return str(value).lower() if isinstance(value, bool) else repr(value)
