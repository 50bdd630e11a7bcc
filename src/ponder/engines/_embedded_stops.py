"""What the embedded engine's library makes of stop strings, and what that takes from a sample. Pure.

It looks for them in as many of a sample's last tokens as the longest of them takes alone, and of one that
ends in line ends it writes only what stands before those (OpenVINO GenAI, `match_stop_string`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["unwritten_stop", "unwritten_tokens", "widening"]

_NONCHARACTER = "\uffff"


def widening(stops: Sequence[str], tokens: Callable[[str], int]) -> tuple[str, ...]:
    """A further stop string, which no text has, where one of these takes more tokens inside a text than
    alone: beside it the library looks at enough tokens to see that one. `tokens` counts those of a text."""
    most = max(_tokens_inside(stop, tokens) for stop in stops)
    if most <= max(map(tokens, stops)):
        return ()
    filler = _NONCHARACTER
    while tokens(filler) < most and len(filler) < most:
        filler += _NONCHARACTER
    return (filler,)


def _tokens_inside(text: str, tokens: Callable[[str], int]) -> int:
    """Of a text among others: two line ends are one token at the end of a text, and two before a word."""
    return tokens(f"x{text}x") - 2


def unwritten_stop(text: str, stops: Sequence[str]) -> tuple[str | None, str]:
    """The stop string that ended a text, and the text before it, where the library kept its line's end to
    itself."""
    found = [(stop.rstrip("\n"), stop) for stop in stops if stop.endswith("\n")]
    ended = [(len(shown), -len(stop), stop) for shown, stop in found if text.endswith(shown)]
    if not ended:
        return None, text
    shown_characters, _, stop = max(ended)
    return stop, text[: len(text) - shown_characters]


def unwritten_tokens(stop: str, tokens: Callable[[str], int]) -> int:
    """Of the line ends that were left out: they were generated all the same."""
    return max(1, _tokens_inside(stop[len(stop.rstrip("\n")) :], tokens))
