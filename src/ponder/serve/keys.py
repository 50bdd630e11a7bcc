"""Who may ask: keys of the form pk-ID-SECRET, their roles and limits, in a file that holds only hashes.

A secret has 256 random bits, so its hash need not be slow. argon2 is for secrets that somebody made up.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import os
import re
import secrets
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from ponder.errors import ConfigError, InputError, PonderError, UnknownName
from ponder.serve.factors import parse_declared
from ponder.serve.limits import Limit, parse_limits

__all__ = ["ROLES", "Key", "KeyFile", "Keyring", "Role", "new_key"]

Role = Literal["user", "auditor", "operator"]
ROLES: tuple[str, ...] = get_args(Role)
"""user: answers, summaries, own usage. auditor: every trace, read-only. operator: keys, limits, metrics."""

PREFIX = "pk"
_ID = re.compile(r"[0-9a-f]{12}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PRESENTED = re.compile(rf"{PREFIX}-([0-9a-f]{{12}})-([A-Za-z0-9_-]{{20,100}})")
# OWASP's second choice of parameters for argon2id: 19 MiB, two passes, one lane.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_VERIFYING = 2
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Key:
    """A row of the file. `limits` and `declared` as they were stated; `created` and `revoked` are dates."""

    id: str
    name: str
    role: Role
    hash: str
    limits: str = ""
    concurrency: int | None = None
    created: str = ""
    revoked: str | None = None
    declared: str = ""

    @property
    def parsed(self) -> tuple[Limit, ...]:
        return _parsed(self.limits)

    @property
    def factors(self) -> Mapping[str, str | float]:
        """What its customer declares of its use, by factor."""
        return _factors(self.declared)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> tuple[Limit, ...]:
    return parse_limits(text)


@lru_cache(maxsize=1024)
def _factors(text: str) -> Mapping[str, str | float]:
    return parse_declared(text)


def new_key(
    name: str, role: str, *, limits: str = "", concurrency: int | None = None, declared: str = ""
) -> tuple[Key, str]:
    """A row and the key itself, which is nowhere else. Raises InputError."""
    if not _NAME.fullmatch(name):
        raise InputError("name: it must be 1 to 64 letters, digits, dots, dashes or @, with a letter first.")
    if role not in ROLES:
        raise UnknownName("role", role, ROLES)
    parse_limits(limits)
    parse_declared(declared)
    identity, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    text = f"{PREFIX}-{identity}-{secret}"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    role_: Role = role  # type: ignore[assignment]
    row = Key(identity, name, role_, _HASHER.hash(text), limits, concurrency, today, declared=declared)
    return row, text


# ---------------------------------------------------------------- the file


class KeyFile:
    """The TOML file of keys: [[keys]] tables."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Key, ...]:
        """Its rows. Raises ConfigError in one sentence that names the row."""
        try:
            table = tomllib.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(
                f"keys: {self.path} is not there; make one with `ponder keys add NAME`."
            ) from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise ConfigError(f"keys: {self.path} cannot be read: {error}.") from None
        rows = table.get("keys", [])
        if not isinstance(rows, list) or set(table) - {"keys"}:
            raise ConfigError(f"keys: {self.path} must hold [[keys]] tables and nothing else.")
        keys = tuple(_row(f"keys: {self.path}, key {at}", row) for at, row in enumerate(rows, 1))
        if len({key.id for key in keys}) < len(keys):
            raise ConfigError(f"keys: {self.path} has an id twice; give each key its own.")
        return keys

    def add(self, key: Key) -> None:
        """Raises InputError where the name is taken by a key in force."""
        keys = self.read() if self.path.exists() else ()
        if any(each.name == key.name and each.revoked is None for each in keys):
            raise InputError(f"name: {key.name!r} has a key already; revoke it first, or take another name.")
        self._write([*keys, key])

    def revoke(self, name: str) -> Key:
        """Revoke the key of this name or id. Raises UnknownName."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        return self._change(name, lambda key: replace(key, revoked=today))

    def declare(self, name: str, declared: str) -> Key:
        """Add to what the key of this name or id declares, or change it. Raises InputError, UnknownName."""
        stated = parse_declared(declared)

        def add(key: Key) -> Key:
            all_ = {**key.factors, **stated}
            shown = {f: v if isinstance(v, str) else f"{v:.17g}" for f, v in all_.items()}
            return replace(key, declared=",".join(f"{factor}={value}" for factor, value in shown.items()))

        return self._change(name, add)

    def _change(self, name: str, change: Callable[[Key], Key]) -> Key:
        """Change the key in force of this name or id. Raises UnknownName."""
        keys = self.read()
        found = next((k for k in keys if k.revoked is None and name in (k.name, k.id)), None)
        if found is None:
            raise UnknownName("key", name, [k.name for k in keys if k.revoked is None])
        changed = change(found)
        self._write([changed if key is found else key for key in keys])
        return changed

    def _write(self, keys: Sequence[Key]) -> None:
        """In one step, so that a reader sees the old file or the new one."""
        handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write("\n".join(_toml(key) for key in keys))
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


def _toml(key: Key) -> str:
    """Every string is ASCII, so that its JSON is TOML too."""
    values = {name: getattr(key, name) for name in Key.__slots__}
    lines = [f"{name} = {json.dumps(value)}" for name, value in values.items() if value not in (None, "")]
    return "\n".join(["[[keys]]", *lines, ""])


def _row(where: str, row: Any) -> Key:
    if not isinstance(row, Mapping) or set(row) - set(Key.__slots__):
        raise ConfigError(f"{where}: it must be a table of {', '.join(Key.__slots__)}.")
    for name in ("id", "name", "role", "hash"):
        if not isinstance(row.get(name), str):
            raise ConfigError(f"{where}: {name} must be a text; make keys with `ponder keys add`.")
    if not _ID.fullmatch(row["id"]) or not _NAME.fullmatch(row["name"]) or row["role"] not in ROLES:
        raise ConfigError(f"{where}: its id, name or role cannot be; make keys with `ponder keys add`.")
    concurrency = row.get("concurrency")
    if concurrency is not None and (type(concurrency) is not int or concurrency < 1):
        raise ConfigError(f"{where}: concurrency must be a whole number from 1.")
    if any(not isinstance(row.get(name, ""), str) for name in ("limits", "created", "revoked", "declared")):
        raise ConfigError(f"{where}: limits, created, revoked and declared must be texts.")
    try:
        parse_limits(row.get("limits", ""))
        parse_declared(row.get("declared", ""))
    except PonderError as error:
        raise ConfigError(f"{where}: {error}") from None
    return Key(**row)


# ---------------------------------------------------------------- checking what is presented


class Keyring:
    """The keys in force. A changed file counts from the next look on; an unreadable one admits nobody."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when the file cannot be read."""
        self._file = KeyFile(path)
        self._stamp = self._now()
        self._keys = {key.id: key for key in self._file.read()}
        self._pepper = secrets.token_bytes(32)
        self._verified: dict[str, tuple[str, bytes]] = {}
        self._turns = asyncio.Semaphore(_VERIFYING)
        self._nobody = _HASHER.hash(secrets.token_urlsafe(32))

    @property
    def keys(self) -> tuple[Key, ...]:
        """All rows of the file as it is now. Raises ConfigError."""
        self._look()
        return tuple(self._keys.values())

    def _now(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _look(self) -> None:
        stamp = self._now()
        if stamp != self._stamp or stamp is None:
            self._keys = {key.id: key for key in self._file.read()}
            self._stamp = stamp

    async def find(self, presented: str) -> Key | None:
        """The key in force that was presented, or None. Takes as long for an unknown id as for a wrong
        secret. Raises ConfigError when the file cannot be read any more."""
        self._look()
        match = _PRESENTED.fullmatch(presented)
        key = self._keys.get(match.group(1)) if match else None
        digest = hmac.new(self._pepper, presented.encode("utf-8", "surrogatepass"), hashlib.sha256).digest()
        if not self._remembers(key, digest):
            async with self._turns:
                # Of many that come at once the first one is verified.
                if not self._remembers(key, digest):
                    known = self._nobody if key is None else key.hash
                    right = await asyncio.to_thread(_verify, known, presented)
                    if not right or key is None:
                        return None
                    self._remember(key, digest)
            self._look()
        key = None if key is None else self._keys.get(key.id)
        return None if key is None or key.revoked is not None else key

    def _remembers(self, key: Key | None, digest: bytes) -> bool:
        known, before = self._verified.get("" if key is None else key.id, ("", b""))
        return hmac.compare_digest(before, digest) and key is not None and known == key.hash

    def _remember(self, key: Key, digest: bytes) -> None:
        if len(self._verified) >= _REMEMBERED:
            self._verified.clear()
        self._verified[key.id] = key.hash, digest


def _verify(known: str, presented: str) -> bool:
    try:
        return _HASHER.verify(known, presented)
    except (VerificationError, InvalidHashError):
        return False
