"""Reading files that anybody may have written: bounded in size, never evaluated, never unpickled.

What a file declares is not believed: every read stops at its own limit. A refusal is one sentence that names
the file, the place in it, and the remedy.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from ponder.errors import BankFileError, MissingExtra

__all__ = ["BOUNDS", "Archive", "Bounds", "lines", "mapping", "opened", "parse", "sha256", "whole"]

_CHUNK = 1 << 20
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_ZSTANDARD = 93


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that is read: bytes of a file, unpacked where it is packed; bytes of one piece of it (a line,
    a file in an archive, a document); and pieces."""

    file_bytes: int = 4 << 30
    piece_bytes: int = 256 << 20
    pieces: int = 4_000_000


BOUNDS = Bounds()


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, for reading. Raises BankFileError when it cannot be opened or read, or has no end."""
    if path.exists() and not path.is_file():
        raise BankFileError(f"{path}: no regular file; give the path of a log or of a file of samples.")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BankFileError(f"{path}: {why}; give the path of a log or of a file of samples.") from None


def sha256(path: Path, bounds: Bounds) -> str:
    """The hash of the file's bytes. Raises BankFileError for one that is too large."""
    digest, size = hashlib.sha256(), 0
    with opened(path) as file:
        while chunk := file.read(_CHUNK):
            size += len(chunk)
            if size > bounds.file_bytes:
                raise _too_large(str(path), bounds.file_bytes, "split it")
            digest.update(chunk)
    return digest.hexdigest()


def lines(path: Path, bounds: Bounds) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, with their numbers from 1. Raises BankFileError."""
    number = 0
    with opened(path) as file:
        while raw := file.readline(bounds.piece_bytes + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(raw) > bounds.piece_bytes:
                raise _too_large(where, bounds.piece_bytes, "shorten it")
            if number > bounds.pieces:
                raise BankFileError(f"{path}: more than {bounds.pieces:,} lines; split it.")
            text = _decoded(raw, where).strip()
            if text:
                yield number, text


def whole(path: Path, bounds: Bounds) -> str:
    """The text of a file that is one document. Raises BankFileError."""
    with opened(path) as file:
        raw = file.read(bounds.piece_bytes + 1)
    if len(raw) > bounds.piece_bytes:
        raise _too_large(
            str(path), bounds.piece_bytes, "convert it with `inspect log convert --to eval`, or split it"
        )
    return _decoded(raw, str(path))


def parse(text: str, where: str) -> Any:
    """A JSON value; NaN and Infinity are numbers, as Python's writers write them. Raises BankFileError."""
    try:
        return json.loads(text)
    except RecursionError:
        raise BankFileError(f"{where}: nested too deeply; this is no log.") from None
    except ValueError as error:
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)[:80]
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) and "\n" in text else ""
        raise BankFileError(f"{where}{line}: not JSON ({why}); give the file as it was written.") from None


def mapping(value: Any, where: str) -> Mapping[str, Any]:
    """The value, if it is an object. Raises BankFileError."""
    if not isinstance(value, dict):
        raise BankFileError(f"{where}: not a JSON object; give the file as it was written.")
    return value


class Archive:
    """A zip file whose members are JSON documents, by name. Raises BankFileError for one that is broken,
    locked, packed in a way that Python cannot unpack, or larger than allowed when unpacked."""

    def __init__(self, file: BinaryIO, path: Path, bounds: Bounds) -> None:
        self._path, self._bounds = path, bounds
        with self._reading(str(path)):
            self._zip = _unpacker().ZipFile(file)
        members = self._zip.infolist()
        if len(members) > bounds.pieces:
            raise BankFileError(f"{path}: more than {bounds.pieces:,} files in it; this is no log.")
        # Members may share their packed bytes, so it is the unpacked sizes that count.
        if sum(member.file_size for member in members) > bounds.file_bytes:
            raise _too_large(
                f"{path}, unpacked", bounds.file_bytes, "it may be a zip bomb; split it if it is none"
            )
        self._members = {member.filename: member for member in members}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def names(self) -> list[str]:
        """In the order of the archive; a member that was written twice counts once, as last written."""
        return list(self._members)

    def read(self, name: str) -> Any:
        """The JSON value of a member."""
        member, where = self._members[name], f"{self._path}, {name}"
        if member.flag_bits & 1:
            raise BankFileError(f"{where}: locked by a password; give the log as it was written.")
        if member.compress_type == _ZSTANDARD and not hasattr(_unpacker(), "ZIP_ZSTANDARD"):
            raise MissingExtra(f"{self._path}: a log that is packed by Zstandard", "bank")
        if member.compress_type not in {*_METHODS, _ZSTANDARD}:
            raise BankFileError(
                f"{where}: packed by method {member.compress_type}, which is unknown; convert the log with "
                "`inspect log convert --to json`."
            )
        limit = self._bounds.piece_bytes
        with self._reading(where), self._zip.open(member) as packed:
            raw = packed.read(limit + 1)
        if len(raw) > limit:
            raise _too_large(where, limit, "it may be a zip bomb; leave it out if it is none")
        return parse(_decoded(raw, where), where)

    @contextmanager
    def _reading(self, where: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever an unpacker raises over bytes that are no archive
            why = " ".join(str(error).split())[:80] or type(error).__name__
            raise BankFileError(
                f"{where}: a broken zip file ({why}); give the log as it was written."
            ) from None


def _unpacker() -> ModuleType:
    """The zip module that unpacks Zstandard, if there is one: Python's own from 3.14 on, or its backport."""
    try:
        return importlib.import_module("zipfile" if sys.version_info >= (3, 14) else "backports.zstd.zipfile")
    except ImportError:
        return zipfile


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BankFileError(f"{where}: not UTF-8 text; save the file as UTF-8.") from None


def _too_large(where: str, limit: int, remedy: str) -> BankFileError:
    size = f"{limit / (1 << 20):,.0f} MiB" if limit >= 1 << 20 else f"{limit:,} bytes"
    return BankFileError(f"{where}: larger than {size}; {remedy}.")
