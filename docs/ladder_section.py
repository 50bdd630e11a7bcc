"""The section of docs/strategies.md on the ladder, from benchmarks/results/search_on_ladder.json."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from docs.training_pages import table
from ponder.report.words import compact

__all__ = ["ladder_section"]

Result = Mapping[str, Any]

_HEAD = """## On the ladder, with a process reward model

The ladder's checkpoints (`make ladder`) are small enough to measure what a large model makes dear: searches
that a trained reward model guides, chains of forced length, cascades. `python -m benchmarks.search_on_ladder`
runs them, each beside a vote of as many samples as cost the same FLOP in the mean. Percent right; differences
in points with 90 % intervals from resampling problems. A search's FLOP are the solver's and the reward
model's, and each of its calls reads the path so far again: an engine that keeps it makes searches cheaper."""

_SEARCH = """### Searches

{setting} The reward model is of the same size, trained on the checkpoint's own rollouts (`ponder train
reward`). A vote of as many generated tokens is shown too: what the search would be worth if reading and
rewards were free. In the last column it is set against itself with shuffled scores."""

_FORCE = """### One longer chain

{setting} It learnt search traces, in which `<` takes a step back. `force` goes back where the search would
end, up to `waits` times, within `limit` tokens in all. Beside it are the same chains without the waits, plain
ones cut off where their mean of generated tokens is the same (whole ones where they are shorter), and votes.
{repeats} runs a problem. Such a trace ends where it has found a solution, so that going on means to give one
up; only where it had found none is there something to win."""

_CASCADE = """### Small model first

{setting} Where its samples disagree, `{large}` is asked. {repeats} runs a problem."""


def ladder_section(result: Result | None) -> str:
    """What each part came to; nothing where no part was run."""
    parts = {name: part for name, part in (result or {"parts": {}})["parts"].items() if part["summary"]}
    if not parts:
        return ""
    makers = {"search": _search, "force": _force, "cascade": _cascade}
    text = "\n\n".join([_HEAD, *(make(parts[name]) for name, make in makers.items() if name in parts)])
    return "\n\n".join(map(_wrapped, text.split("\n\n")))


def _wrapped(paragraph: str) -> str:
    """Headings and tables stay as they are."""
    if paragraph.startswith(("#", "|")):
        return paragraph
    return textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)


def _search(part: Result) -> str:
    rows = [
        [
            *_common(entry),
            _vote(entry, "vote"),
            _vote(entry, "vote_by_tokens"),
            _difference(entry["rivals"]["shuffled"]),
        ]
        for entry in part["summary"]
    ]
    votes = ("less a vote (samples, right)", "less one of as many tokens")
    head = ("strategy", "right", "FLOP", *votes, "less shuffled")
    text = _SEARCH.format(setting=_setting(part))
    rivals = {"vote": "a vote", "vote_by_tokens": "one of as many tokens", "shuffled": "shuffled scores"}
    told = [_verdict(part, by, words) for by, words in rivals.items()]
    return "\n\n".join([text, table(head, rows), " ".join(told)])


def _force(part: Result) -> str:
    cuts = [
        [f"{cut['limit']}", f"{cut['tokens']:.0f}", compact(cut["flop"]), _accuracy(cut["accuracy"])]
        for cut in part["reference"]["cuts"]
    ]
    rows = []
    for entry in part["summary"]:
        name, right, flop = _common(entry)
        plain = entry["rivals"]["cut"]
        beside = f"{_difference(plain)} ({plain['tokens']:.0f}, {_percent(plain['accuracy'])})"
        differences = (_difference(entry["rivals"]["unforced"]), beside, _vote(entry, "vote"))
        rows.append([name, f"{entry['tokens']:.0f}", flop, right, *differences])
    rest = ("less unforced", "less plain (tokens, right)", "less a vote (samples, right)")
    head = ("strategy", "tokens", "FLOP", "right", *rest)
    text = _FORCE.format(setting=_setting(part), repeats=part["setting"]["repeats"])
    rivals = {"unforced": "the same unforced", "cut": "plain chains", "vote": "a vote"}
    told = [_verdict(part, by, words) for by, words in rivals.items()]
    plain = table(("a plain chain cut off at", "tokens", "FLOP", "right"), cuts)
    return "\n\n".join([text, plain, table(head, rows), " ".join(told)])


def _cascade(part: Result) -> str:
    rows = [
        [*_common(entry), *(_vote(entry, by) for by in ("vote", "large_vote"))] for entry in part["summary"]
    ]
    head = ("strategy", "right", "FLOP", "less a vote of the small one", "less a vote of the large one")
    text = _CASCADE.format(
        setting=_setting(part), large=part["setting"]["beside"], repeats=part["setting"]["repeats"]
    )
    told = [_verdict(part, "vote", "the small one's vote"), _verdict(part, "large_vote", "the large one's")]
    return "\n\n".join([text, table(head, rows), " ".join(told)])


def _setting(part: Result) -> str:
    setting = part["setting"]
    return f"Checkpoint `{setting['recording']}` on {setting['problems']} problems of `{setting['task']}`."


def _common(entry: Result) -> list[str]:
    return [f"`{entry['strategy']}`", _accuracy(entry["accuracy"]), compact(entry["flop"])]


def _vote(entry: Result, by: str) -> str:
    rival = entry["rivals"][by]
    return f"{_difference(rival)} ({rival['samples']:.1f}, {_percent(rival['accuracy'])})"


def _verdict(part: Result, by: str, words: str) -> str:
    """Which strategies are surely better than a rival, which surely worse."""
    better, worse = list[str](), list[str]()
    for entry in part["summary"]:
        rival = entry["rivals"][by]
        side = better if rival["low"] > 0 else worse if rival["high"] < 0 else None
        if side is not None:
            side.append(entry["strategy"])
    number = len(part["summary"])
    ahead, behind = _listed(better, number), _listed(worse, number)
    rest = number - len(better) - len(worse)
    return f"Over {words}: surely ahead {ahead}; surely behind {behind}; undecided {rest}."


def _listed(names: Sequence[str], number: int) -> str:
    if len(names) in (0, number):
        return "all" if names else "none"
    return ", ".join(f"`{name}`" for name in names)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _accuracy(estimate: Result) -> str:
    return f"{100 * estimate['value']:.1f} [{100 * estimate['low']:.1f}, {100 * estimate['high']:.1f}]"


def _difference(rival: Result) -> str:
    value, low, high = (f"{100 * rival[name]:+.1f}" for name in ("difference", "low", "high"))
    return f"{value} [{low}, {high}]"
