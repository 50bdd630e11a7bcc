"""Laws of coverage and of votes, checkpoint by checkpoint: fitted to few draws, tried on the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from benchmarks.laws.figures import Result, difference, median, share
from benchmarks.laws.sources import Source

from ponder.errors import LawUndefined
from ponder.laws import Counts, Verified, fit
from ponder.laws.compare import FITTED_TO, Forecast, forecasts
from ponder.laws.coverage import COVERAGE_LAWS, PowerLaw, pass_at
from ponder.laws.voting import VOTING_LAWS, vote_at

__all__ = ["BASELINE", "coverage", "fitted_to", "looked_until", "votes"]

BASELINE = PowerLaw(on_shares=True).name
_FAR = 100.0  # times the draws: as far as a peak of votes is looked for
_SEVERAL = 5  # times the draws that a law is fitted to, there are at least
_HALF = 0.5
_SPLITS = 8  # of the draws, at random, into those that coverage is fitted to and the others


def coverage(sources: Sequence[Source], *, draws: int) -> Result:
    """Each coverage law's forecast at each source, and how the laws do over groups of like sources."""
    rows, laws = [_coverage_row(each, draws) for each in sources], [law.name for law in COVERAGE_LAWS]
    return {
        "baseline": BASELINE,
        "sources": rows,
        "groups": _groups(rows, laws),
    }


def votes(sources: Sequence[Source], *, draws: int) -> Result:
    """Each voting law's forecast, the limit of the best one, and where votes are highest."""
    rows = [_vote_row(each, draws) for each in sources]
    return {"sources": rows, "groups": _groups(rows, [law.name for law in VOTING_LAWS])}


def _head(source: Source) -> Result:
    counts = source.counts
    return {
        "name": counts.name,
        "task": counts.task,
        "group": source.group,
        "run": source.run,
        "problems": len(counts.ids),
        "draws": counts.least,
    }


def fitted_to(data: Counts | Verified) -> int:
    """Draws of each problem that a law is fitted to when it is tried on the others."""
    return min(FITTED_TO, data.least // _SEVERAL)


def looked_until(data: Counts | Verified) -> float:
    """How many samples a law is read at to see whether it falls."""
    return _FAR * data.least


def _coverage_row(source: Source, draws: int) -> Result:
    """Every law by itself, so that none is left out for being equal to another."""
    counts = replace(source.counts, ballots=None)  # answers make no coverage, and take long to be divided
    told, why = list[Forecast](), ""
    for law in COVERAGE_LAWS:
        try:
            told += forecasts(
                counts, [law], seen=pass_at, fit_to=fitted_to(counts), splits=_SPLITS, draws=draws
            )
        except LawUndefined as error:
            why = str(error)
    if told:
        return _head(source) | _forecasts(told)
    return _head(source) | {"undefined": why, "one": float(pass_at(counts, np.array([1])).mean())}


def _forecasts(told: Sequence[Forecast]) -> Result:
    ranked = sorted(told, key=lambda each: each.rank)
    return {
        "fitted_to": told[0].fitted_to,
        "samples": told[0].samples,
        "seen": asdict(told[0].seen),
        "best": ranked[0].law.name,
        "laws": {
            each.law.name: {
                "predicted": asdict(each.predicted),
                "difference": asdict(each.difference),
                "relative_error": each.error,
                "word": each.word,
            }
            for each in ranked
        },
    }


def _vote_row(source: Source, draws: int) -> Result:
    counts = source.counts
    head = _head(source)
    try:
        told = forecasts(counts, VOTING_LAWS, seen=vote_at, fit_to=fitted_to(counts), draws=draws)
        found = fit(counts, told[0].law, draws=draws)
    except LawUndefined as error:
        return head | {"undefined": str(error)}
    limit = found.predict([np.inf])
    peak = found.peak(looked_until(counts))
    seen = vote_at(counts, np.array([1, counts.least]))
    return (
        head
        | _forecasts(told)
        | {
            "one": share(seen[:, 0]),
            "all": share(seen[:, 1]),
            "change": difference(seen[:, 1], seen[:, 0]),
            "limit": {name: float(getattr(limit, name)[0]) for name in ("value", "low", "high")},
            "limit_by": found.law.name,
            "highest_at": asdict(peak.x),
            "falls": peak.falls,
            "looked_until": peak.most,
        }
    )


def _groups(rows: Sequence[Result], laws: Sequence[str]) -> list[Result]:
    """Sources of one kind, task and number of samples together; the embedded model's tasks are one group.
    Each again in two parts: where less than half of what was held back is right, and where more is."""
    parts: dict[tuple[str, str, int], list[Result]] = {}
    for row in rows:
        if "laws" in row:
            task = row["task"] if row["group"] == "ladder" else "all"
            parts.setdefault((row["group"], task, row["samples"]), []).append(row)
    found = []
    for (group, task, samples), own in parts.items():
        below = [row for row in own if row["seen"]["value"] < _HALF]
        above = [row for row in own if row["seen"]["value"] >= _HALF]
        parted = (("below half", below), ("from half on", above)) if below and above else ()
        for part, some in (("all", own), *parted):
            found.append(
                {
                    "group": group,
                    "task": task,
                    "part": part,
                    "fitted_to": sorted({row["fitted_to"] for row in some}),
                    "samples": samples,
                    "sources": len(some),
                    "laws": {law: _summary(law, some) for law in laws},
                }
            )
    return found


def _summary(law: str, rows: Sequence[Result]) -> Result:
    """How a law does over sources; `times_lower` compares its error with the baseline's, source by source."""
    there = [row for row in rows if law in row["laws"]]
    return {
        "defined": len(there),
        "best": sum(row["best"] == law for row in rows),
        "passed": sum(row["laws"][law]["word"] == "law" for row in there),
        "too_high": sum(row["laws"][law]["difference"]["low"] > 0.0 for row in there),
        "too_low": sum(row["laws"][law]["difference"]["high"] < 0.0 for row in there),
        "median_error": _over(there, lambda row: row["laws"][law]["relative_error"]),
        "times_lower": _over(there, lambda row: _times_lower(row["laws"], law)),
    }


def _times_lower(laws: dict[str, Any], law: str) -> float | None:
    error, base = (laws.get(name, {}).get("relative_error") for name in (law, BASELINE))
    return base / error if base is not None and error else None


def _over(rows: Sequence[Result], figure: Callable[[Result], float | None]) -> Result | None:
    told = [(value, row["run"]) for row in rows if (value := figure(row)) is not None]
    return median([value for value, _ in told], [run for _, run in told])
