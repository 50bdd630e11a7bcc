"""The page of findings on what guessing gets, and on Countdown's votes with right answers pooled."""

from __future__ import annotations

from collections.abc import Sequence

from docs.findings_draws import RIGHT
from docs.findings_words import STEPS, Result, counted, listed, percent, points
from docs.training_pages import table

__all__ = ["beside_guesses", "guessing_finding", "guessing_limit", "guessing_table", "pooled_finding"]

_SHOWN = (1, 16, 64, 256)
_MUCH = 0.1  # of the problems that guesses get, so that any right says little of reasoning


def guessing_table(guessing: Result) -> str:
    """A row a way of guessing; the checkpoints at the most draws that all of a task's have."""
    rows = []
    for row in guessing["guesses"]:
        shown = {each["k"]: percent(each) for each in row["any"]}
        most = row["beside"][-1]
        rows.append(
            [
                f"`{row['task']}`",
                row["guess"],
                *(shown[k] for k in _SHOWN),
                str(most["k"]),
                f"{percent(most['best'])} ({most['best']['name']})",
                percent(most["median"]),
                *(_sides(each) for each in (row["beside"][0], most)),
            ]
        )
    guessed = [f"{_of(k)}, %" for k in _SHOWN]
    head = ["task", "a guess", *guessed, "draws", "best checkpoint's any right, %", "median checkpoint's, %"]
    return table([*head, "surely above, below a guess: one draw", "so many draws"], rows)


def _of(k: int) -> str:
    return "one guess right" if k == 1 else f"any of {k}"


def _sides(beside: Result) -> str:
    return f"{beside['above']}, {beside['below']} of {len(beside['checkpoints'])}"


def guessing_finding(guessing: Result) -> str:
    rows = guessing["guesses"]
    said = beside_guesses(guessing)
    much, little = _parted(rows)
    if much:
        said.append(
            f"So many guesses get {percent(_least(much))} % or more of {listed(_names(much))}. There any "
            "right of many draws shows by itself that a model writes a task's form (legal steps, numbers of "
            f"the range or of the prompt), and no reasoning. {_ahead(much)}"
        )
    if little:
        said.append(
            f"On {listed(_names(little))} they get at most "
            f"{percent(max(map(_at_most, little), key=lambda each: each['value']))} %."
        )
    able = [row for row in rows if row["any"][0]["value"] >= RIGHT]
    if able:
        said.append(
            f"One guess is right one time in a hundred or more on {listed(_names(able))}, so there that "
            "filter, which this page uses for votes, lets guessing through."
        )
    return "\n".join(f"- {each}" for each in said)


def beside_guesses(guessing: Result) -> list[str]:
    """The checkpoints of the reasoning task beside as many guesses."""
    return [_beside(row) for row in guessing["guesses"] if row["task"] == STEPS]


def _beside(row: Result) -> str:
    one, most = row["beside"][0], row["beside"][-1]
    guessed = {each["k"]: percent(each) for each in row["any"]}
    number = len(most["checkpoints"])
    return (
        f"On `{row['task']}` one guess is right on {guessed[1]} % of the problems, and any of {most['k']} on "
        f"{guessed[most['k']]} %. Of {counted(number, 'checkpoint')} {one['above']} are surely above a guess "
        f"with one draw and {one['below']} surely below; with {most['k']} draws {most['above']} are surely "
        f"above as many guesses and {most['below']} surely below."
    )


def _least(rows: Sequence[Result]) -> Result:
    return min(map(_at_most, rows), key=lambda each: each["value"])


def _at_most(row: Result) -> Result:
    """The guesses at as many draws as the checkpoints are compared at."""
    return next(each for each in row["any"] if each["k"] == row["beside"][-1]["k"])


def _parted(rows: Sequence[Result]) -> tuple[list[Result], list[Result]]:
    """Tasks that some way of guessing gets much of, and the others, each with its best way."""
    best: dict[str, Result] = {}
    for row in rows:
        known = best.get(row["task"])
        if known is None or _at_most(row)["value"] > _at_most(known)["value"]:
            best[row["task"]] = row
    much = [row for row in best.values() if _at_most(row)["value"] >= _MUCH]
    return much, [row for row in best.values() if _at_most(row)["value"] < _MUCH]


def _names(rows: Sequence[Result]) -> list[str]:
    return list(dict.fromkeys(f"`{row['task']}`" for row in rows))


def _ahead(rows: Sequence[Result]) -> str:
    """In how many comparisons checkpoints are surely above all the same."""
    above = [
        f"{row['beside'][-1]['above']} of {len(row['beside'][-1]['checkpoints'])} on `{row['task']}`"
        for row in rows
    ]
    return f"Surely above as many guesses are {listed(above)}."


def guessing_limit(guessing: Result) -> str:
    much, _ = _parted(guessing["guesses"])
    if not much:
        return "- Guessing as often as was drawn gets less than a tenth of every task (section 1)."
    return (
        "- Guessing without training, as often as was drawn, gets a tenth or more of "
        f"{listed(_names(much))} (section 1). So contours of any right, and checkpoints that any of many "
        "draws tells apart, lie there where a model learns to write a task's form, and say little of "
        "reasoning."
    )


def pooled_finding(guessing: Result) -> str:
    """On Countdown's steps: where pooling helps most, and for how many checkpoints."""
    own = [row for row in guessing["votes"] if row["task"] == STEPS]
    if not own:
        return ""
    shown = max(own, key=lambda row: row["pooled"]["value"])
    above = sum(row["gain"]["low"] > 0.0 for row in own)
    return (
        f"- On `{STEPS}` a vote is of whole chains of steps. Of {shown['draws']:,} draws of {shown['name']} "
        f"the most frequent chain is right on {percent(shown['vote'])} % of the problems, but all right "
        f"chains together outnumber the most frequent wrong one on {percent(shown['pooled'])} % "
        f"({points(shown['gain'])} points; wrong chains are not pooled by where they end): the median "
        f"problem has {shown['different_right']:g} different right ones. Pooling is surely better for "
        f"{above} of {counted(len(own), 'checkpoint')}. [guessing.json](../benchmarks/laws/guessing.json)"
    )
