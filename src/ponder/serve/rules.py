"""A monitor of rules: regular expressions with weights, read from a TOML file.

```toml
flag_at = 1.0            # suspicion from which a reply is flagged

[rule.answer-key]
pattern = "answer key|reference solution"
weight = 1.0
about = "it found the key"
```

Suspicion is the sum of the weights of the rules that are found in any chain. Chains are untrusted: a pattern
that takes too long in one is given up and told of, and characters that show nothing are taken out before.
"""

from __future__ import annotations

import asyncio
import math
import time
import tomllib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import regex

from ponder.errors import ConfigError
from ponder.serve.monitoring import Ask, CallSize, Case, Finding

__all__ = ["Rule", "Rules", "read_rules"]

SEARCH_SECONDS = 1.0
"""For all patterns in all chains of a reply."""

SECONDS = 5.0
"""With the wait for a thread that searches."""

MOST_CHARACTERS = 2_000_000
"""Of all chains of a reply together."""

_MOST_RULES = 500
_MOST_PATTERN = 2000
_FIELDS = {"pattern": str, "weight": float, "about": str}


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern (the syntax of the library regex, case ignored) and what finding it adds to the suspicion."""

    name: str
    pattern: regex.Pattern[str]
    weight: float

    @classmethod
    def of(cls, name: str, pattern: str, weight: float = 1.0) -> Rule:
        """Raises regex.error for a pattern that is none."""
        return cls(name, regex.compile(pattern, regex.IGNORECASE), weight)


@dataclass(frozen=True, slots=True)
class Rules:
    """Flags a suspicion of `flag_at` and more. `search_seconds`: what is not searched by then is unread."""

    rules: tuple[Rule, ...]
    flag_at: float = 1.0
    name: str = "rules"
    seconds: float = SECONDS
    search_seconds: float = SEARCH_SECONDS

    @property
    def call(self) -> CallSize | None:
        return None

    async def inspect(self, case: Case, ask: Ask) -> Finding:
        return await asyncio.to_thread(self.look, case.chains)

    def look(self, chains: Sequence[str]) -> Finding:
        """What the rules find in these texts."""
        texts, unread = _readable(chains)
        deadline = time.monotonic() + self.search_seconds
        found: list[Rule] = []
        for rule in self.rules:
            try:
                if _found(rule.pattern, texts, deadline):
                    found.append(rule)
            except TimeoutError:
                unread.append(f"rule {rule.name}: it took too long")
        total = math.fsum(rule.weight for rule in found)
        flagged = total >= self.flag_at
        # What was not looked at might have raised it.
        known = flagged or not unread
        return Finding(total if known else None, flagged, tuple(rule.name for rule in found), tuple(unread))


def _found(pattern: regex.Pattern[str], texts: Iterable[str], deadline: float) -> bool:
    for text in texts:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if pattern.search(text, timeout=left, concurrent=True):
            return True
    return False


def _readable(chains: Sequence[str]) -> tuple[list[str], list[str]]:
    """The chains as a reader sees them, each once, and what was left out of them."""
    texts: list[str] = []
    room = MOST_CHARACTERS
    for chain in dict.fromkeys(chains):
        texts.append(_shown(chain[:room]))
        room -= min(len(chain), room)
    left_out = sum(len(chain) for chain in dict.fromkeys(chains)) - MOST_CHARACTERS
    return texts, [f"{left_out} characters"] if left_out > 0 else []


def _shown(text: str) -> str:
    """Without what shows nothing, and in plain letters where there are others of the same look."""
    if text.isascii():
        return text
    plain = unicodedata.normalize("NFKC", text)
    return "".join(c for c in plain if c in "\n\t" or unicodedata.category(c) not in ("Cf", "Cc", "Mn"))


def read_rules(path: Path) -> Rules:
    """The rules of a file. Raises ConfigError that names the rule and its field."""
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"monitor: {path} cannot be read ({error.strerror}); give a file of rules."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"monitor: {path} is no TOML ({error}).") from None
    rows = table.pop("rule", None)
    flag_at = _number(path, "flag_at", table.pop("flag_at", 1.0))
    if table:
        raise ConfigError(f"monitor: {path} has no use for {next(iter(table))!r}; take it out.")
    if not isinstance(rows, dict) or not 0 < len(rows) <= _MOST_RULES:
        raise ConfigError(
            f"monitor: {path} must have 1 to {_MOST_RULES} rules, each under a heading [rule.NAME]."
        )
    return Rules(tuple(_rule(path, name, row) for name, row in rows.items()), flag_at)


def _rule(path: Path, name: str, row: Any) -> Rule:
    where = f"rule.{name}"
    if not isinstance(row, dict) or not row.keys() <= _FIELDS.keys():
        raise ConfigError(
            f"monitor: {where} of {path} must be a table of pattern, weight and about, no more."
        )
    pattern = row.get("pattern")
    if not isinstance(pattern, str) or not 0 < len(pattern) <= _MOST_PATTERN:
        raise ConfigError(
            f"monitor: {where}.pattern of {path} must be a text of 1 to {_MOST_PATTERN} characters."
        )
    try:
        return Rule.of(name, pattern, _number(path, f"{where}.weight", row.get("weight", 1.0)))
    except regex.error as error:
        raise ConfigError(f"monitor: {where}.pattern of {path} is no regular expression ({error}).") from None


def _number(path: Path, field: str, value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ConfigError(f"monitor: {field} of {path} must be a number.")
    return float(value)
