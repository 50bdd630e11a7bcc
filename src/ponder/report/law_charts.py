"""What a family's laws say as pictures: contours of equal accuracy, worth in training compute, and the
envelope of strategies. Each takes results and returns an altair chart; `law_files` writes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ponder.laws.compute import Envelope
from ponder.laws.interaction import most_trained
from ponder.laws.spending import SpendingStudy, StrategyLaw
from ponder.laws.study import ExchangeStudy, WorthStudy
from ponder.laws.worth import Worth
from ponder.report.figures import PAPER, chart_of, load_altair
from ponder.report.law_parts import (
    HEIGHT,
    WIDTH,
    band_rows,
    coloured,
    first_of_each,
    line_rows,
    log_x,
    log_y,
    named,
    ordered,
    panel,
    share,
    short_names,
    styled,
    titled,
    top_share,
)
from ponder.report.words import compact, plain

__all__ = ["envelope_chart", "exchange_chart", "spending_chart", "worth_chart"]

_BAR, _LONGEST_NAME = 16, 30
_PLACES = 40
_FEW = 6  # undefined models that are listed one by one

# ---------------------------------------------------------------- exchange


def exchange_chart(studies: Sequence[ExchangeStudy]) -> Any:
    """A row a task: accuracy against inference by size, with the joint law; and contours of equal accuracy,
    by the law, and dashed by the checkpoints. Raises MissingExtra without altair."""
    alt = load_altair()
    rows = [
        alt.hconcat(_by_size(alt, study), _contours(alt, study), spacing=30).resolve_scale(
            color="independent"
        )
        for study in studies
    ]
    return styled(alt.vconcat(*rows, spacing=24))


def _by_size(alt: Any, study: ExchangeStudy) -> Any:
    """The checkpoints of most training of each size: the points of every seed, the law of the first."""
    grid = study.grid
    sizes = np.unique(grid.size)
    points: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for place, size in enumerate(sizes):
        model = most_trained(grid, size)[0]
        look = {"colour": ordered(place, len(sizes)), "line": compact(size)}
        points += [
            {"x": float(x), "y": float(y), **look}
            for seed in most_trained(grid, size)
            for x, y in zip(grid.inference_flop[seed], grid.values[:, seed].mean(axis=0), strict=True)
        ]
        amounts = np.geomspace(grid.amounts[0], grid.amounts[-1], _PLACES)
        told = study.law.predict(
            np.column_stack([np.full(_PLACES, size), np.full(_PLACES, grid.tokens[model]), amounts])
        )
        flop = np.exp(np.interp(np.log(amounts), np.log(grid.amounts), np.log(grid.inference_flop[model])))
        rows += [
            {"x": float(x), "y": float(y), "low": float(low), "high": float(high), **look}
            for x, y, low, high in zip(flop, told.value, told.low, told.high, strict=True)
        ]
    said = f"{study.strategy}; points: the most trained, each seed; lines: the joint {study.word}"
    found = panel(alt, points, rows, "Inference FLOP per problem", measured_until=None, legend="parameters")
    return found.properties(title=titled(alt, study.task, said))


def _contours(alt: Any, study: ExchangeStudy) -> Any:
    rows: list[dict[str, Any]] = []
    levels = study.exchange.levels
    for place, level in enumerate(levels):
        look = {"colour": ordered(place, len(levels)), "line": f"{100 * level.accuracy:.2g}%"}
        rows += [
            {"x": float(x), "y": float(y), "low": _known(low, y), "high": _known(high, y), **look}
            for x, y, low, high in zip(level.training, level.inference, level.low, level.high, strict=True)
            if np.isfinite(y)
        ]
    points = [
        {"x": float(x), "y": float(y), "colour": ordered(place, len(levels)), "line": str(place)}
        for place, each in enumerate(study.measured)
        for x, y in zip(each.training, each.inference, strict=True)
    ]
    heights = [row[end] for row in rows for end in ("low", "high")] + [point["y"] for point in points]
    heights = heights or list(study.grid.inference_flop.ravel())  # axes alone, where no contour is known
    x = log_x(alt, list(levels[0].training), "Training FLOP")
    y, low = (log_y(alt, heights, field, "Inference FLOP per problem") for field in ("y", "low"))
    colour = alt.Color("colour:N", scale=None)
    base = chart_of(rows).encode(x=x, color=colour, detail="line:N")
    ends = chart_of(first_of_each(rows))
    seen = chart_of(points).encode(x=x, y=y, color=colour, detail="line:N")
    layers = [
        base.encode(y=low, y2="high:Q").mark_area(opacity=0.13),
        base.encode(y=y).mark_line(strokeWidth=2),
        seen.mark_line(strokeWidth=1, strokeDash=[2, 3]),
        seen.mark_point(size=28, filled=True, opacity=1),
        ends.encode(x=x, y=y, color=colour, text="line:N").mark_text(align="left", dx=4, dy=-6, fontSize=10),
    ]
    said = (
        f"lines of equal accuracy, by the joint {study.word}; bands: 90 %",
        "points: the checkpoints that reach it with least inference",
    )
    title = titled(alt, "What training and inference exchange for", *said)
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=title)


def _known(end: float, middle: float) -> float:
    """An end of a band; where it is unknown the band has no width."""
    return float(end) if np.isfinite(end) else float(middle)


# ---------------------------------------------------------------- worth


def worth_chart(studies: Sequence[WorthStudy]) -> Any:
    """A row a task: the plain frontier with its law, forecast region and the enhanced models; and what each
    enhanced model is worth. Raises MissingExtra without altair."""
    alt = load_altair()
    rows = [alt.hconcat(_frontier(alt, study), _bars(alt, study), spacing=30) for study in studies]
    return styled(alt.vconcat(*rows, spacing=24))


def _frontier(alt: Any, study: WorthStudy) -> Any:
    frontier = study.frontier
    rows: list[dict[str, Any]] = []
    if frontier.curve is not None and frontier.low is not None and frontier.high is not None:
        rows = band_rows(frontier.places, frontier.curve, frontier.low, frontier.high)
    measured = zip(frontier.compute, frontier.scores, strict=True)
    points: list[dict[str, Any]] = [{"x": float(x), "y": float(y)} for x, y in measured]
    points += [
        {
            "x": row.training_flop,
            "y": row.enhanced.value,
            "low": row.enhanced.low,
            "high": row.enhanced.high,
            "colour": PAPER.lines[1],
        }
        for row in study.rows
    ]
    until = float(frontier.compute[-1])
    said = "blue: the best plain models and their law", "orange: enhanced; bars and band: 90 %"
    found = panel(alt, points, rows, "Training FLOP", measured_until=until)
    return found.properties(title=titled(alt, study.task, *said))


def _bars(alt: Any, study: WorthStudy) -> Any:
    """Compute-equivalent gain with its interval, on a log axis around 1, the most accurate first. A gain
    without an upper end runs to the axis' own, with an arrow; ticks are the bounds that the measured frontier
    sets."""
    short, _ = short_names([row.model for row in study.rows])
    named = dict(zip((row.model for row in study.rows), map(_cut, short), strict=True))
    rows = sorted(study.rows, key=lambda row: (-row.enhanced.value, -row.training_flop))
    known = [row for row in rows if row.gain is not None]
    undefined = _undefined([row for row in rows if row.gain is None], named)
    names = [*(named[row.model] for row in known), *undefined]
    ends = _bar_ends(rows)
    bars = [{"name": named[row.model], **_bar(row, *ends)} for row in known]
    bounds = [
        {"name": named[row.model], "bound": each, "mark": mark}
        for row in known
        for each, mark in ((row.at_least, "\u203a"), (row.at_most, "\u2039"))
        if each is not None and ends[0] <= each <= ends[1]
    ]
    order = alt.Y("name:N", sort=names, scale=alt.Scale(domain=names), title=None)
    layers = _bar_layers(alt, ends, order, bars, bounds)
    said = [{"name": name, "said": text} for name, text in undefined.items()]
    texts = chart_of(said).encode(y=order, x=alt.value(4), text="said:N")
    layers.append(texts.mark_text(align="left", fontSize=10, color=PAPER.ink))
    told = ["bars: compute-equivalent gain; lines: 90 %", "\u2192 no upper end"]
    if bounds:
        told[1] += "; \u203a at least, \u2039 at most: by the measured frontier alone"
    height = max(_BAR * len(names), HEIGHT // 2)
    title = titled(alt, "Worth in training compute", *told)
    return alt.layer(*layers).properties(width=WIDTH, height=height, title=title)


def _bar_layers(
    alt: Any,
    ends: tuple[float, float],
    order: Any,
    bars: list[dict[str, Any]],
    bounds: list[dict[str, Any]],
) -> list[Any]:
    value, low, bound = (
        log_x(alt, ends, "Times the training compute", field) for field in ("value", "low", "bound")
    )
    base = chart_of(bars).encode(y=order)
    endless = chart_of([bar for bar in bars if bar["endless"]]).encode(y=order, x=alt.value(WIDTH))
    return [
        base.encode(x=value, x2="one:Q").mark_bar(color=PAPER.lines[1], opacity=0.75, height=_BAR * 0.6),
        base.encode(x=low, x2="high:Q").mark_rule(color=PAPER.ink, strokeWidth=1.4),
        endless.mark_point(shape="triangle-right", filled=True, color=PAPER.ink, size=36, opacity=1),
        chart_of(bounds)
        .encode(y=order, x=bound, text="mark:N")
        .mark_text(color=PAPER.lines[0], fontSize=15, fontWeight="bold", dy=-1),
    ]


def _bar_ends(rows: Sequence[Worth]) -> tuple[float, float]:
    """An axis that holds 1, all gains and their bounds; intervals as far as a decade beyond them."""
    gains = [row.gain for row in rows if row.gain is not None]
    bounds = [each for row in rows if row.gain for each in (row.at_least, row.at_most) if each]
    values = [1.0, *(gain.value for gain in gains), *bounds]
    lows = [gain.low for gain in gains if gain.low > 0.0]
    highs = [gain.high for gain in gains if gain.high is not None]
    least = max(min([*values, *lows]), min(values) / 10.0)
    most = min(max([*values, *highs, 3.0]), max(values) * 10.0)
    return least, most


def _bar(row: Worth, least: float, most: float) -> dict[str, Any]:
    assert row.gain is not None
    high = row.gain.high
    return {
        "value": row.gain.value,
        "one": 1.0,
        "low": max(row.gain.low, least / 1.2),
        "high": most * 1.2 if high is None else min(high, most * 1.2),
        "endless": high is None or high > most * 1.2,
    }


def _undefined(rows: Sequence[Worth], named: dict[str, str]) -> dict[str, str]:
    """What is said of each model without a gain; of many that lack it for one reason, once of all."""
    reasons = Counter(row.undefined for row in rows)
    found: dict[str, str] = {}
    for row in rows:
        count = reasons[row.undefined]
        name, said = named[row.model], f"undefined: {row.undefined}"
        if count > _FEW:
            if said in found.values():
                continue
            name = f"{count} models"
            while name in found:
                name += " "  # an axis has each of its names once
        found[name] = said
    return found


def _cut(name: str) -> str:
    return plain(name)[-_LONGEST_NAME:]


# ---------------------------------------------------------------- envelope


def envelope_chart(envelope: Envelope, *, title: str) -> Any:
    """Every strategy's accuracy for at most so much compute, and the envelope of them with its band. Raises
    MissingExtra without altair."""
    alt = load_altair()
    thin = [
        {"x": float(x), "y": float(y), "line": name, "colour": PAPER.lines[place % len(PAPER.lines)]}
        for place, name in enumerate(short_names(envelope.names)[0])
        for x, y in zip(envelope.compute, envelope.values[place], strict=True)
        if np.isfinite(y)
    ]
    rows = [
        {"x": float(x), "y": float(y), "low": float(low), "high": float(high)}
        for x, y, low, high in zip(envelope.compute, envelope.value, envelope.low, envelope.high, strict=True)
    ]
    x = log_x(alt, [row["x"] for row in rows], f"Inference {envelope.unit} per problem")
    top = top_share([*thin, *rows])
    band = chart_of(rows).encode(x=x)
    base = chart_of(thin).encode(x=x, y=share(alt, "y", top), color=coloured(alt, thin, ""), detail="line:N")
    layers = [
        band.encode(y=share(alt, "low", top), y2="high:Q").mark_area(opacity=0.14, color=PAPER.ink),
        band.encode(y=share(alt, "y", top)).mark_line(strokeWidth=5, opacity=0.25, color=PAPER.ink),
        base.mark_line(strokeWidth=1.8),
    ]
    return styled(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=plain(title)))


# ---------------------------------------------------------------- strategies


def spending_chart(studies: Sequence[SpendingStudy]) -> Any:
    """A row a task: every strategy's accuracy against compute with its law, the envelope of those that need
    no key, and below where each of them leads. Raises MissingExtra without altair."""
    alt = load_altair()
    return styled(alt.vconcat(*(_spending(alt, study) for study in studies), spacing=24))


def _spending(alt: Any, study: SpendingStudy) -> Any:
    known = [each for each in study.strategies if each.way.scores is not None]
    short, _ = short_names([each.way.name for each in known])
    names = {each.way.name: plain(name) for each, name in zip(known, short, strict=True)}
    keyless = [names[each.way.name] for each in known if not each.way.oracle]
    colours = {name: PAPER.lines[at % len(PAPER.lines)] for at, name in enumerate(keyless)}
    shown = list(names.values())
    scale = alt.Scale(domain=shown, range=[colours.get(name, PAPER.oracle) for name in shown])
    colour = alt.Color("line:N", scale=scale, legend=named(alt))
    every = [float(x) for each in known if each.way.scores is not None for x in each.way.scores.compute]
    ends = (min(every), max(every))
    main = _ways(alt, study, known, names, ends, colour)
    if study.envelope is None:
        return main
    strip = _leads(alt, study, ends, colour, names)
    return alt.vconcat(main, strip, spacing=8).resolve_scale(color="shared")


def _ways(
    alt: Any,
    study: SpendingStudy,
    known: Sequence[StrategyLaw],
    names: Mapping[str, str],
    ends: tuple[float, float],
    colour: Any,
) -> Any:
    laws = {each.way.oracle: list[dict[str, Any]]() for each in known}
    points: list[dict[str, Any]] = []
    for each in known:
        scores, line = each.way.scores, names[each.way.name]
        assert scores is not None
        points += line_rows(scores.compute, scores.values.mean(axis=0), line)
        if each.fit is not None:
            told = each.fit.predict(np.geomspace(scores.compute[0], scores.compute[-1], _PLACES))
            laws[each.way.oracle] += band_rows(told.x, told.value, told.low, told.high, line=line)
    best = study.envelope
    hull = [] if best is None else band_rows(best.compute, best.value, best.low, best.high)
    top = top_share([*points, *hull, *(row for rows in laws.values() for row in rows)])
    x, y = log_x(alt, ends, f"Inference {study.unit} per problem"), share(alt, "y", top)
    layers = [chart_of(hull).encode(x=x, y=y).mark_line(strokeWidth=7, opacity=0.18, color=PAPER.ink)]
    for oracle, rows in laws.items():
        line = chart_of(rows).encode(x=x, color=colour, detail="line:N")
        dash = [5, 3] if oracle else [1, 0]
        layers += [
            line.encode(y=share(alt, "low", top), y2="high:Q").mark_area(opacity=0.12),
            line.encode(y=y).mark_line(strokeWidth=1.8, strokeDash=dash),
        ]
    dots = chart_of(points).encode(x=x, y=y, color=colour)
    layers.append(dots.mark_point(size=26, filled=True, opacity=1))
    said = [
        "lines: sigmoids of log compute with 90 % bands; grey, thick: the best that needs no key",
        *(["grey, dashed: coverage, a bound that needs the key"] if True in laws else []),
    ]
    title = titled(alt, study.task, *said)
    return alt.layer(*layers).properties(width=2 * WIDTH, height=HEIGHT, title=title)


def _leads(
    alt: Any, study: SpendingStudy, ends: tuple[float, float], colour: Any, names: Mapping[str, str]
) -> Any:
    """A bar from where to where each strategy leads, dark where it surely does."""
    assert study.envelope is not None
    leads = study.envelope.leads
    # A strategy leads up to where the next one does, so that a lead at a single place is seen.
    until = [*(each.first for each in leads[1:]), ends[1]]
    told = list(zip(leads, until, strict=True))
    bars = [{"line": names[each.name], "x": each.first, "x2": end} for each, end in told]
    sure = [
        {
            "line": names[each.name],
            "x": each.sure[0],
            "x2": end if each.sure[1] == each.last else each.sure[1],
        }
        for each, end in told
        if each.sure
    ]
    shown = list(dict.fromkeys(bar["line"] for bar in bars))
    order = alt.Y("line:N", sort=shown, scale=alt.Scale(domain=shown), title=None)
    x = log_x(alt, ends, f"Where each leads; dark: in at least {study.envelope.level:.0%} of the refits")

    def bar(rows: list[dict[str, Any]], opacity: float) -> Any:
        chart = chart_of(rows).encode(x=x, x2="x2:Q", y=order, color=colour)
        return chart.mark_bar(opacity=opacity, height=_BAR * 0.6)

    found = alt.layer(bar(bars, 0.35), bar(sure, 1.0))
    return found.properties(width=2 * WIDTH, height=_BAR * len(shown))
