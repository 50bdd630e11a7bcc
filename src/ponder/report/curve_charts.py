"""A measured curve with its law and its forecast as a picture, of accuracy and of what it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from ponder.laws.draws import DrawsStudy, LawCurve
from ponder.laws.fit import Prediction
from ponder.report.figures import load_altair
from ponder.report.law_parts import band_rows, line_rows, log_y, panel, styled, titled

__all__ = ["LACKING", "draws_chart", "law_chart"]

Rows = list[dict[str, Any]]

_PLACES = 80
_AHEAD = 32.0  # times the draws: how far a law is drawn when nobody says

_READ = ("on a log axis, where differences near 100 % show;", "lower is better")

LACKING = "\u2212ln of coverage"
"""What is drawn beside a coverage."""

_SAID = {"coverage": "Coverage of k samples (pass@k)", "vote": "Vote of k samples"}


def law_chart(
    measured: Sequence[Sequence[float]],
    told: Prediction,
    *,
    title: str,
    x_title: str,
    subtitle: Sequence[str] = (),
    rival: Sequence[float] | None = None,
    lacking: str | None = None,
) -> Any:
    """A measured curve, the law with its band, and the forecast region shaded.

    `measured` are (x, accuracy), or (x, accuracy, low, high); `told` predicts at rising x [X]; `rival` are
    another law's values [X], drawn thin. With `lacking`, its title, a second panel has -ln(accuracy) on a log
    axis, on which differences near 100 % show. Raises MissingExtra without altair.
    """
    alt = load_altair()
    first, *others = _panels(alt, measured, told, x_title, rival, lacking)
    first = first.properties(title=titled(alt, title, *subtitle))
    return styled(alt.hconcat(first, *others, spacing=30) if others else first)


def _panels(
    alt: Any,
    measured: Sequence[Sequence[float]],
    told: Prediction,
    x_title: str,
    rival: Sequence[float] | None,
    lacking: str | None,
) -> list[Any]:
    rows = band_rows(told.x, told.value, told.low, told.high)
    points = [dict(zip(("x", "y", "low", "high"), map(float, each), strict=False)) for each in measured]
    inside = [float(x) for x, beyond in zip(told.x, told.beyond, strict=True) if not beyond]
    thin = [] if rival is None else line_rows(told.x, rival, "rival")
    draw = partial(panel, alt, x_title=x_title, measured_until=max(inside) if inside else None)
    found = [draw(points, rows, thin=thin)]
    if lacking is None:
        return found
    points, rows, thin = (_negative_logs(each) for each in (points, rows, thin))
    heights = [row["y"] for row in [*points, *rows, *thin]]
    if not heights:
        return found
    for row in [*points, *rows]:  # an accuracy of 1 has no place on the axis: its bar runs to the axis' end
        if "low" in row:
            row["low"] = max(row["low"], min(heights))
            heights += [row["low"], row["high"]]
    lost = draw(points, rows, thin=thin, y_axis=lambda field: log_y(alt, heights, field, ""))
    return [*found, lost.properties(title=titled(alt, lacking, *_READ))]


def _negative_logs(rows: Rows) -> Rows:
    """Rows of shares as rows of -ln(share); those of 0 and of 1 are left out."""
    found = []
    for row in rows:
        if not 0.0 < row["y"] < 1.0:
            continue
        own = row | {"y": -np.log(row["y"])}
        if "low" in row:
            own |= {"low": -np.log(row["high"]), "high": -np.log(max(row["low"], row["y"] / 100.0))}
        found.append(own)
    return found


def draws_chart(studies: Sequence[DrawsStudy], *, most: float | None = None) -> Any:
    """A row a task: coverage, -ln of it and the vote against the number of samples, as measured, with the law
    that forecasts best, its rival thin, and the forecast up to `most` samples shaded; by default up to 32
    times the draws. Raises MissingExtra without altair."""
    alt = load_altair()
    rows = []
    for study in studies:
        far = max(float(study.counts.least), most or _AHEAD * study.counts.least)
        panels = [each for curve in study.curves for each in _of_draws(alt, curve, far)]
        title = titled(alt, f"{study.counts.name}, {study.counts.task}")
        rows.append(alt.hconcat(*panels, spacing=30).properties(title=title))
    return styled(alt.vconcat(*rows, spacing=24))


def _of_draws(alt: Any, curve: LawCurve, most: float) -> list[Any]:
    x = np.geomspace(1.0, most, _PLACES)
    # The last place that was fitted is among them, where the shade begins.
    x = np.unique(np.append(x, float(curve.counts.least)))
    measured = [(k, each.value, each.low, each.high) for k, each in curve.measured]
    rival = curve.rival(x)
    told = [f"line: {curve.fit.law.name}, a {curve.best.word}; bars and band: 90 %"]
    if rival is not None:
        told.append(f"dashed: {rival[0]}")
    thin = None if rival is None else rival[1].tolist()
    lacking = LACKING if curve.kind == "coverage" else None
    first, *others = _panels(alt, measured, curve.fit.predict(x), "Samples per problem", thin, lacking)
    return [first.properties(title=titled(alt, _SAID[curve.kind], *told)), *others]
