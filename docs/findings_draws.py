"""Sections 1 and 2 of the page of findings: laws of coverage and of votes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from docs.findings_words import STEPS, Result, counted, figure, listed, percent, points, side
from docs.training_pages import table

__all__ = [
    "RIGHT",
    "coverage_finding",
    "coverage_laws",
    "coverage_table",
    "far_finding",
    "reasoning",
    "votes_finding",
    "votes_table",
    "wholes",
]

BETA = "beta-binomial"
FEW = 3  # sources: too few to be told as a part of their group


def wholes(result: Result) -> list[Result]:
    """The groups of all sources of a kind."""
    return [each for each in result["groups"] if each["part"] == "all"]


def reasoning(result: Result) -> Result:
    """The group of the reasoning task with most sources; of another task where that is not recorded."""
    return max(wholes(result), key=lambda each: (each["task"] == STEPS, each["sources"]))


def best_law(group: Result) -> str | None:
    """The law whose median error is least; None where no error is defined."""
    errors = {
        name: law["median_error"]["value"]
        for name, law in group["laws"].items()
        if law["median_error"] is not None
    }
    return min(errors, key=lambda name: errors[name]) if errors else None


def where(group: Result) -> str:
    name = "the embedded model" if group["group"] == "embedded" else f"`{group['task']}`"
    part = "" if group["part"] == "all" else f", {group['part']}"
    return f"{name}{part}"


def _reach(group: Result) -> str:
    return f"{', '.join(map(str, group['fitted_to']))} → {group['samples']:,}"


# ---------------------------------------------------------------- coverage


def coverage_table(coverage: Result, calibration: Result | None) -> str:
    """By group of sources the least median error, and how it compares with the baseline's."""
    rows = list(_measured(coverage))
    for each in (calibration or {}).get("far_forecast", ()):
        errors = each["median_relative_error"]
        best = min(errors, key=lambda name: errors[name])
        rows.append(
            [
                f"made up: {_made_up(each)}",
                f"{each['draws']} → {100 * each['draws']:,}",
                str(each["data_sets"]),
                f"{best}, {errors[best]:.3g}",
                f"{errors[coverage['baseline']]:.3g}",
                f"{each['times_lower']:.3g}",
            ]
        )
    head = ("draws of", "fitted → told", "sources", "best law, its median error", "baseline's", BETA)
    return table([*head[:-1], f"{BETA} times lower"], rows)


def _measured(coverage: Result) -> Iterator[list[str]]:
    for group in coverage["groups"]:
        best = best_law(group)
        if best is None or not shown(group):
            continue
        laws = group["laws"]
        yield [
            where(group),
            _reach(group),
            str(group["sources"]),
            f"{best}, {figure(laws[best]['median_error'])}",
            figure(laws[coverage["baseline"]]["median_error"]),
            figure(laws[BETA]["times_lower"]),
        ]


def coverage_laws(coverage: Result) -> str:
    """All laws on the reasoning task."""
    group = reasoning(coverage)
    rows = [
        [
            name,
            figure(law["median_error"]),
            str(law["best"]),
            f"{law['passed']} of {law['defined']}",
            f"{law['too_high']}, {law['too_low']}",
        ]
        for name, law in group["laws"].items()
    ]
    head = ("law", "median error", "foretells best", "chance explains its error", "surely too high, too low")
    return f"All laws on {where(group)}:\n\n{table(head, rows)}"


def coverage_finding(coverage: Result) -> str:
    """Whether the Beta-binomial law foretells coverage better than least squares, where it does, and how it
    errs."""
    told = [each for each in coverage["groups"] if shown(each) and _bounded(each["laws"][BETA])]
    by_verdict: dict[str, list[str]] = {}
    for group in told:
        lower = group["laws"][BETA]["times_lower"]
        verdict = "worse than" if lower["high"] < 1.0 else "not surely other than"
        verdict = "better than" if lower["low"] > 1.0 else verdict
        by_verdict.setdefault(verdict, []).append(f"{where(group)} → {group['samples']:,}")
    said = [
        f"- The {BETA} law is {verdict} {coverage['baseline']} on {'; '.join(by_verdict[verdict])}."
        for verdict in _VERDICTS
        if verdict in by_verdict
    ]
    high, low, defined = (
        sum(group["laws"][BETA][name] for group in told if group["part"] == "all")
        for name in ("too_high", "too_low", "defined")
    )
    said.append(
        f"- Its forecast is surely too high in {high} and surely too low in {low} of {defined} trials, where "
        f"chance would have {0.05 * defined:.0f} of each."
    )
    silent = [row["one"] for row in coverage["sources"] if "undefined" in row]
    if silent:
        some = sum(0.0 < one < 1.0 for one in silent)
        said.append(
            f"- {counted(len(silent), 'source')} were left out: in {len(silent) - some} no draw was right, "
            f"or every one; in {some} some were, but none or all of those that a law was to be fitted to, in "
            "one of the splits at least. So these figures are of checkpoints that can already do the task."
        )
    return "\n".join(said)


_VERDICTS = ("better than", "worse than", "not surely other than")


def far_finding(calibration: Result | None) -> str:
    """Where the tenfold lower error that Schaeffer et al. (2025) claim is reached on made-up problems."""
    rows = (calibration or {}).get("far_forecast", ())
    reached, missed = (
        [
            f"{_made_up(each)} ({each['times_lower']:.3g})"
            for each in rows
            if (each["times_lower"] >= _CLAIMED) is it
        ]
        for it in (True, False)
    )
    if not rows:
        return ""
    return (
        f"- On made-up problems that follow the {BETA} law, a hundred times past the draws, its error is "
        f"{_CLAIMED} times lower (Schaeffer et al. 2025) for {listed(reached) or 'none'}; not for "
        f"{listed(missed) or 'none'}."
    )


_CLAIMED = 10


def _made_up(each: Result) -> str:
    return f"Beta({each['a']:g}, {each['b']:g}), {each['problems']:,} problems"


def _bounded(law: Result) -> bool:
    return law["times_lower"] is not None and law["times_lower"]["low"] is not None


def shown(group: Result) -> bool:
    """Whether there are enough sources for a group to be told of."""
    return bool(group["sources"] >= FEW)


# ---------------------------------------------------------------- votes


def _shown(votes: Result) -> list[Result]:
    """The most trained checkpoint of each run on each task, and the embedded model's tasks."""
    last = {(row["task"], row["run"]): row for row in votes["sources"]}
    return [row for row in last.values() if "laws" in row]


def votes_table(votes: Result, task: str) -> str:
    """On one task of the ladder, and of the embedded model."""
    rows = [
        [
            f"{row['name']}, {row['task']}" if row["group"] == "embedded" else row["name"],
            str(row["draws"]),
            percent(row["one"]),
            percent(row["all"]),
            f"{percent(row['limit'])}",
            row["limit_by"],
            f"{100 * row['falls']:.0f} %",
        ]
        for row in _shown(votes)
        if row["group"] == "embedded" or row["task"] == task
    ]
    head = ("most trained, or task", "draws", "one draw, %", "vote of all, %", "limit, %", "by", "falls")
    return table(head, rows)


def votes_finding(votes: Result) -> str:
    told = [row for row in votes["sources"] if "laws" in row]
    said = []
    for group, words in (("ladder", "the ladder"), ("embedded", "the embedded model")):
        own = [row for row in told if row["group"] == group]
        if own:
            said.append(_verdicts(own, words))
    return "\n".join(f"- {each}" for each in [*said, *map(_laws, wholes(votes))] if each)


def _verdicts(rows: Sequence[Result], words: str) -> str:
    sides = [side(row["change"], "better", "worse", "open") for row in rows]
    # Where hardly a draw is right, a vote goes to 0, which is a fall that says nothing.
    able = [row for row in rows if row["one"]["value"] >= RIGHT]
    falling = sum(row["falls"] >= SURELY for row in able)
    rising = sum(row["falls"] <= 1.0 - SURELY for row in able)
    gain = max(rows, key=lambda row: row["change"]["value"])["change"]
    return (
        f"On {words} a vote of all draws is surely better than one draw for {sides.count('better')} of "
        f"{counted(len(rows), 'source')}, surely worse for {sides.count('worse')}; the largest gain is "
        f"{points(gain)} points. Of the {len(able)} that are right one time in a hundred, the vote surely "
        f"falls again before a hundred times the draws in {falling}, surely does not in {rising}, and may "
        "in the others."
    )


RIGHT, SURELY = 0.01, 0.95


def _laws(group: Result) -> str:
    best = best_law(group)
    if best is None:
        return ""
    law = group["laws"][best]
    return (
        f"On {where(group)} {best} foretells {group['samples']:,} draws best (median error "
        f"{figure(law['median_error'])}; chance explains it for {law['passed']} of {law['defined']})."
    )
