"""The form that a reply must have: what may be asked for, what keeps to it, what of it may be shown. Pure.

A schema comes from a stranger and goes to the model's server, which may be trusting: it is small, and it
names nothing outside of itself. Nothing here looks an address up.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ponder.serve.failing import ApiError
from ponder.serve.hiding import REDACTED, Redaction, cut, marks
from ponder.serve.strict import parse

__all__ = ["KINDS", "MOST_SCHEMA_CHARACTERS", "NAME", "Format", "flaw", "redact_json"]

KINDS = ("json_object", "json_schema", "text")
NAME = "^[A-Za-z0-9_-]{1,64}$"
"""What a schema may be called."""

MOST_SCHEMA_CHARACTERS = 65_536
"""Of its JSON text."""

_MOST_SCHEMA_VALUES = 5000
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?[0-9][0-9.eE+-]*')
_COLON = re.compile(r"\s*:")


@dataclass(frozen=True, slots=True)
class Format:
    """A form that was asked for. `text`: as JSON, in the words of OpenAI's chat API. `param`: the field that
    stated it."""

    text: str
    param: str

    @classmethod
    def of(cls, stated: Mapping[str, Any], param: str) -> Format:
        return cls(json.dumps(stated, ensure_ascii=False, separators=(",", ":"), allow_nan=False), param)

    def keeps(self, text: str) -> bool:
        """Whether a reply is JSON, read strictly, and an object where it must be one. Not held against the
        schema's further words: that is done by the model's server."""
        try:
            value = parse(text)
        except ValueError:
            return False
        stated = json.loads(self.text)
        table = stated["type"] == "json_object" or stated["json_schema"]["schema"].get("type") == "object"
        return isinstance(value, dict) or not table

    @property
    def words(self) -> frozenset[str]:
        """All strings in it, the names of fields too: its asker's own."""
        return frozenset(_strings(json.loads(self.text)))

    def unable(self) -> ApiError:
        what = "the model behind this server cannot be held to a form; leave it out, or ask in words"
        return ApiError(400, f"{self.param}: {what}.", code="unsupported_parameter", param=self.param)

    def refused(self) -> ApiError:
        what = "the model behind this server refused a request with it; state another form, or leave it out"
        return ApiError(400, f"{self.param}: {what}.", code="format_refused", param=self.param)

    def not_kept(self) -> ApiError:
        what = "the model's reply did not keep to it; ask again, or leave it out"
        message = f"{self.param}: {what}."
        return ApiError(502, message, code="format_not_kept", param=self.param, again=False)


def flaw(schema: Any) -> str | None:
    """What a schema must be and is not, None for one that is fit to be passed on."""
    if not isinstance(schema, dict):
        return "an object, a JSON Schema"
    if len(json.dumps(schema, ensure_ascii=False)) > MOST_SCHEMA_CHARACTERS:
        return f"at most {MOST_SCHEMA_CHARACTERS:,} characters of JSON"
    tables = list(_tables(schema))
    if sum(len(table) for table in tables) > _MOST_SCHEMA_VALUES:
        return f"at most {_MOST_SCHEMA_VALUES:,} fields in all its objects"
    stated = [table.get(name) for table in tables for name in _REFERENCES]
    if any(isinstance(each, str) and not each.startswith("#") for each in stated):
        return "a schema whose $ref all begin with #, since nothing outside of it is looked up"
    return None


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value that was read strictly, which bounds its depth."""
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _tables(each)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        value = list(value.values())
    for each in value if isinstance(value, list) else ():
        yield from _strings(each)


# ---------------------------------------------------------------- redaction


@dataclass(frozen=True, slots=True)
class _Token:
    """A string or a number in a JSON text: where it stands, and what it says."""

    start: int
    end: int
    plain: str
    is_string: bool
    is_key: bool


def redact_json(
    text: str, hidden: Sequence[str], allowed: Sequence[str], own: frozenset[str] = frozenset()
) -> Redaction:
    """As `hiding.redact`, of what the strings and the numbers of a JSON text say; it stays JSON.

    The names of fields are looked through as one text, and all else as another: so a passage is found that
    was dealt out over several strings, and not the form itself, of which a model may have made a draft. What
    is in `own` is the caller's and stays.
    """
    tokens = list(_tokens(text))
    marked: dict[int, bytearray] = {}
    for keys in (False, True):
        run = [token for token in tokens if token.is_key is keys]
        found, at = marks("\n".join(token.plain for token in run), hidden, allowed), 0
        for token in run:
            marked[token.start] = found[at : at + len(token.plain)]
            at += len(token.plain) + 1
    pieces: list[str] = []
    at = cuts = 0
    for token in tokens:
        if not any(marked[token.start]) or token.plain in own:
            continue
        kept = cut(token.plain, marked[token.start]) if token.is_string else Redaction(REDACTED, 1)
        pieces += [text[at : token.start], json.dumps(kept.text, ensure_ascii=False)]
        at, cuts = token.end, cuts + kept.cuts
    return Redaction("".join([*pieces, text[at:]]), cuts)


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        said, is_string = match.group(), match.group().startswith('"')
        is_key = is_string and _COLON.match(text, match.end()) is not None
        yield _Token(*match.span(), json.loads(said) if is_string else said, is_string, is_key)
