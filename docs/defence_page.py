"""The page on the defence experiment: text from `_defence.md`, figures from its committed result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from docs.training_pages import Result, page, table
from ponder.laws.compute import sigmoid
from ponder.laws.detection import MeasuredDetector
from ponder.laws.fit import interval
from ponder.report.words import compact, percent

__all__ = ["defence_page"]

SOURCE = "defence"

_FAMILIES = {
    "slip": "a result is off",
    "carry": "a step takes up another value than the last one left",
    "operand": "a digit is misread",
    "operator": "an operator is misread",
    "dropped": "an operation is left out",
    "repeated": "an operation is done twice",
    "order": "two operations change places",
}
_BEYOND = 10.0
_ALL = 0.99
_SOME = 0.95
_GAP = 0.01


def _share(estimate: Mapping[str, float]) -> str:
    value, low, high = (f"{100 * estimate[name]:.1f}" for name in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


def _plain(value: float) -> str:
    return f"{100 * value:.0f} %"


def _points(estimate: Mapping[str, float]) -> str:
    """A difference in percentage points."""
    # Adding 0 takes the sign off a zero.
    value, low, high = (f"{round(100 * estimate[name], 1) + 0.0:+.1f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _left(told: Mapping[str, Any]) -> bool:
    """Whether anything escapes at the least compute, so that more could buy something."""
    return bool(told["points"][0]["value"] < _ALL)


def _way(told: Mapping[str, Any]) -> str:
    slope = told["per_doubling"]
    if not _left(told):
        return "nothing is left to catch"
    if slope["low"] > 0:
        return "rises"
    return "falls" if slope["high"] < 0 else "null: its interval holds 0"


def slopes(found: Result) -> str:
    """Each detector against held-out families."""
    rows = []
    for each in found["detectors"]:
        told, flop = each["held_out"], each["flop"]
        rows.append(
            [
                f"{each['name']}",
                f"{compact(flop[0])} to {compact(flop[-1])}",
                f"{_share(told['points'][0])} → {_share(told['points'][-1])}",
                _points(told["per_doubling"]),
                _way(told),
                _points(each["models"]["per_doubling"]),
            ]
        )
    head = (
        "detector",
        "FLOP an item",
        "caught, rules held out",
        "points per doubling of compute",
        "",
        "models",
    )
    return table(head, rows)


def findings(found: Result) -> str:
    """One pass against many answers of the same checkpoint, and where the gain ends."""
    lines = [
        f"- {name} catches {_share(point)} in one pass ({compact(flop)} FLOP), and {_share(last)} by "
        f"{answers} answers of its own ({compact(spent)})."
        for name, (flop, point), (spent, last, answers) in _once_and_often(found)
    ]
    for each in found["detectors"]:
        enough = next((i for i, p in enumerate(each["held_out"]["points"]) if p["value"] >= _ALL), None)
        if enough and enough < len(each["flop"]) - 1:
            lines.append(
                f"- {each['name']}: 99 % are caught from {compact(each['flop'][enough])} FLOP on, and more "
                "compute buys nothing that could be seen."
            )
    return "\n".join(lines)


def points(found: Result) -> str:
    rows = [
        [each["name"], setting, compact(flop), _share(rule), _share(model), _share(alarm)]
        for each in found["detectors"]
        for setting, flop, rule, model, alarm in zip(
            each["settings"],
            each["flop"],
            each["held_out"]["points"],
            each["models"]["points"],
            each["false_alarms"],
            strict=True,
        )
    ]
    head = ("detector", "answers or checkpoint", "FLOP", "caught, rules held out", "caught, models")
    return table([*head, "stopped of right ones"], rows)


def attacks(found: Result) -> str:
    """Rows are attacks, columns the detectors that leave any."""
    shown = [each for each in found["detectors"] if each["held_out"]["points"][0]["value"] < _SOME]
    kinds = [*shown[0]["families"], *shown[0]["attackers"]]
    rows = []
    for kind in kinds:
        row = [kind, ""]
        for each in shown:
            told = {**each["families"], **each["attackers"]}[kind]
            row[1] = str(told["items"])
            row.append(" → ".join(_plain(told["points"][at]["value"]) for at in (0, -1)))
        rows.append(row)
    return table(["attack", "items", *(each["name"] for each in shown)], rows)


def strength(found: Result) -> str:
    """Whom most escapes, by the hardest attack at the least and most compute."""
    lines = []
    for each in found["detectors"]:
        told = {**each["families"], **each["attackers"]}
        for at, said in ((0, "least"), (-1, "most")):
            caught = {kind: figures["points"][at] for kind, figures in told.items()}
            hardest, point = min(caught.items(), key=lambda item: item[1]["value"])
            if point["value"] < _SOME:
                lines.append(
                    f"- {each['name']}, at its {said} compute: {hardest} is caught least, {_share(point)}."
                )
    return "\n".join(lines)


def _laws(found: Result) -> Iterator[MeasuredDetector]:
    return (MeasuredDetector.from_json(each) for each in found["laws"])


def laws(found: Result) -> str:
    rows = []
    for law in _laws(found):
        low, high = interval(law.value, law.draws, level=0.9, problems=law.items)
        ends = [f"{v:.4g} [{a:.4g}, {b:.4g}]" for v, a, b in zip(law.value, low, high, strict=True)]
        rows.append([law.name, f"{compact(law.least)} to {compact(law.most)}", *ends[1:]])
    return table(("law", "FLOP an item", "ceiling", "middle, log₁₀ FLOP", "slope"), rows)


def passes(found: Result) -> str:
    """What passes by the first law, inside of what was measured and ten times beyond."""
    law = next(_laws(found))
    flop = np.array([*np.geomspace(law.least, law.most, 4), law.most * _BEYOND])
    value = 1.0 - sigmoid(law.value[None], flop)[0]
    low, high = interval(value, 1.0 - sigmoid(law.draws, flop), level=0.9, problems=law.items)
    rows = [
        [
            compact(c),
            f"{percent(v)} [{percent(a)}, {percent(b)}]",
            "measured" if c <= law.most else "extrapolated",
        ]
        for c, v, a, b in zip(flop, value, low, high, strict=True)
    ]
    return table(("FLOP an item", "passes", ""), rows)


def unprepared(found: Result) -> str:
    """What was lost by having chosen the rule without the family, at the most compute."""
    lost = []
    for each in found["detectors"]:
        for family, prepared in each["prepared"].items():
            held_out, known = each["families"][family]["points"][-1], prepared[-1]
            if abs(held_out["value"] - known["value"]) >= _GAP:
                lost.append(
                    f"- {each['name']} against *{family}*: {_share(held_out)} by {each['rules'][family]!r}; "
                    f"{_share(known)} by {each['rules']['models']!r}, had the family been known."
                )
    pairs = sum(len(each["prepared"]) for each in found["detectors"])
    said = f"Of {pairs} detectors and families that is so in {len(lost)} by a percentage point or more"
    return "\n".join([f"{said}{':' if lost else '.'}", *([""] if lost else []), *lost])


def nulls(found: Result) -> str:
    """The slopes by attack that are not surely above 0, of those where something was left to catch."""
    told = [
        (each["name"], kind, figures)
        for each in found["detectors"]
        for kind, figures in {**each["families"], **each["attackers"]}.items()
        if _left(figures)
    ]
    flat = [f"{name} against {kind}" for name, kind, each in told if each["per_doubling"]["low"] <= 0]
    said = "none is null" if not flat else f"{len(flat)} are null or negative ({'; '.join(flat)})"
    return f"Of {len(told)} slopes by attack, where anything was left to catch, {said}."


def short(found: Result) -> str:
    """The answer first."""
    solvers = [each for each in found["detectors"] if each["kind"] == "solve"]
    left = [each for each in solvers if _left(each["held_out"])]
    rising = sum(each["held_out"]["per_doubling"]["low"] > 0 for each in left)
    most = max(left, key=lambda each: each["held_out"]["per_doubling"]["value"])
    least = min(left, key=lambda each: each["held_out"]["points"][-1]["value"])
    pairs = list(_once_and_often(found))
    better = sum(once["value"] >= often["value"] for _, (_, once), (_, often, _) in pairs)
    return (
        f"**In short.** {len(left)} of {len(solvers)} models that check by solving leave something to catch "
        f"at one answer, and {rising} of these catch more with more answers. The steepest ({most['name']}) "
        f"gains {_points(most['held_out']['per_doubling'])} percentage points a doubling, in the mean over "
        f"all of them, and {_steepest(most)}. The "
        f"weakest still catches {_share(least['held_out']['points'][-1])} with {least['settings'][-1]}. For "
        f"{better} of {len(pairs)} checkpoints one reading of the solution catches at least as much as "
        f"{least['settings'][-1]} answers of its own."
    )


def _steepest(detector: Result) -> str:
    """The doubling that gains most."""
    caught = [point["value"] for point in detector["held_out"]["points"]]
    gains = [after - before for before, after in pairwise(caught)]
    place = gains.index(max(gains))
    fewer, more = detector["settings"][place : place + 2]
    return f"{100 * gains[place]:+.1f} from {fewer} to {more}"


Once = tuple[float, Mapping[str, float]]
Often = tuple[float, Mapping[str, float], str]


def _once_and_often(found: Result) -> Iterator[tuple[str, Once, Often]]:
    """Checkpoints that both read and solve: FLOP and what is caught by one pass, and by the most answers."""
    passes = {
        name: (flop, point)
        for each in found["detectors"]
        if each["kind"] == "read"
        for name, flop, point in zip(each["settings"], each["flop"], each["held_out"]["points"], strict=True)
    }
    for each in found["detectors"]:
        checkpoint = each["name"].removeprefix("solve ")
        if each["kind"] == "solve" and checkpoint in passes:
            often = each["flop"][-1], each["held_out"]["points"][-1], each["settings"][-1]
            yield checkpoint, passes[checkpoint], often


def _families(found: Result) -> str:
    return "; ".join(f"*{name}*: {_FAMILIES[name]}" for name in sorted(found["detectors"][0]["families"]))


def _models(found: Result) -> str:
    counts = found["attacks"]
    told = [
        f"{name} ({folder}, {counts[f'{name} best']} problems)" for name, folder in found["attackers"].items()
    ]
    return "wrong solutions of " + ", ".join(told)


Part = Callable[[Result], str]


def defence_page() -> str:
    """docs/defence.md."""
    parts: dict[str, Part] = {
        "task": lambda found: str(found["task"]),
        "false alarm": lambda found: _plain(found["false_alarm"]),
        "clean": lambda found: str(found["items"]["clean"]),
        "short": short,
        "families": _families,
        "models": _models,
        "draws": lambda found: str(found["numbers"]["draws"]),
        "drafts": lambda found: str(found["numbers"]["drafts"]),
        "seed": lambda found: str(found["seed"]),
        "slopes": slopes,
        "findings": findings,
        "points": points,
        "attacks": attacks,
        "strength": strength,
        "nulls": nulls,
        "unprepared": unprepared,
        "calculator": lambda found: _plain(found["calculator"]["caught"]),
        "calculator alarms": lambda found: _plain(found["calculator"]["false_alarms"]),
        "laws": laws,
        "passes": passes,
    }
    return page(SOURCE, {name: (SOURCE, make) for name, make in parts.items()})
