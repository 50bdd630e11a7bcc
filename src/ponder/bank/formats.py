"""Which kind of file it is, told by what is in it and not by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from ponder.bank import inspect_log, lm_eval, plain
from ponder.bank.files import Bounds, opened
from ponder.bank.foreign import Foreign, Wanted
from ponder.errors import BankFileError

__all__ = ["READERS", "Reader", "detect"]

Reader = Callable[[Path, Wanted, Bounds], Iterator[Foreign]]
READERS: dict[str, Reader] = {
    "inspect-eval": inspect_log.read_eval,
    "inspect-json": inspect_log.read_document,
    "lm-eval": lm_eval.read_samples,
    "jsonl": plain.read_lines,
}
_ZIP = b"PK\x03\x04"
_LINE_BYTES = 1 << 20


def detect(path: Path, bounds: Bounds) -> str:
    """The name of the file's format, a key of READERS. Raises BankFileError for a file of none."""
    with opened(path) as file:
        first = file.readline(min(bounds.piece_bytes, _LINE_BYTES))
        while first.isspace():
            first = file.readline(min(bounds.piece_bytes, _LINE_BYTES))
    if first.startswith(_ZIP):
        return "inspect-eval"
    if not first.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        raise BankFileError(
            f"{path}: neither an Inspect log, nor a sample file of lm-eval, nor JSON lines; give a file of "
            "one of these kinds."
        )
    return _of_json(first)


def _of_json(first: bytes) -> str:
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        # A document over many lines, or in one line that is longer than a look at it.
        return "inspect-json" if first.strip() == b"{" or _starts_a_log(first) else "jsonl"
    if "eval" in row and "status" in row:
        return "inspect-json"
    return "lm-eval" if "doc_id" in row and "resps" in row else "jsonl"


def _starts_a_log(line: bytes) -> bool:
    """Whether a line that is no JSON by itself has the first fields of an Inspect log."""
    head = line[:400].replace(b" ", b"")
    return head.startswith(b'{"version":') and b'"eval":{' in head
