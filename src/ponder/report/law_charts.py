"""Laws as pictures: a curve with its law and forecast, contours of equal accuracy, worth in training compute,
and the envelope of strategies."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ponder.errors import InputError, MissingExtra
from ponder.laws.compute import Envelope
from ponder.laws.fit import Prediction
from ponder.laws.study import ExchangeStudy, WorthStudy
from ponder.report.figures import PAPER, house_style, load_altair
from ponder.report.words import compact, plain

__all__ = ["envelope_chart", "exchange_chart", "law_chart", "worth_chart", "write_ladder_chart"]

Floats = NDArray[np.float64]

WIDTH, HEIGHT = 320, 240
_BAR, _LONGEST_NAME = 16, 30
# Viridis, darkened at its bright end: what is drawn in these colours is ordered.
_ORDERED = ("#5db940", "#1f9a80", "#2a788e", "#3b4a8c", "#440154")
_SUFFIXES = (".png", ".svg", ".json")
_PLACES = 40
_REGION = 0.07


def law_chart(measured: Sequence[tuple[float, float]], told: Prediction, *, title: str, x_title: str) -> Any:
    """A measured curve, the law with its band, and the forecast region shaded.

    `measured` are (x, accuracy); `told` predicts at rising x [X]. Raises MissingExtra without altair.
    """
    alt = load_altair()
    rows = [
        {"x": x, "y": y, "low": low, "high": high}
        for x, y, low, high in zip(
            *(map(float, each) for each in (told.x, told.value, told.low, told.high)), strict=True
        )
    ]
    points = [{"x": float(x), "y": float(y)} for x, y in measured]
    inside = [float(x) for x, beyond in zip(told.x, told.beyond, strict=True) if not beyond]
    panel = _panel(alt, points, rows, x_title, measured_until=max(inside) if inside else None)
    return _styled(panel.properties(title=plain(title)))


def _panel(
    alt: Any,
    points: list[dict[str, Any]],
    rows: list[dict[str, Any]],
    x_title: str,
    *,
    measured_until: float | None,
) -> Any:
    """Points and the law's line and band, in one colour unless a row has a `colour`; a `line` tells lines
    apart."""
    for row in [*points, *rows]:
        row.setdefault("colour", PAPER.lines[0])
        row.setdefault("line", "law")
    x = _log_x(alt, [row["x"] for row in [*points, *rows]], x_title)
    colour = alt.Color("colour:N", scale=None)
    line = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour, detail="line:N")
    dots = alt.Chart(alt.InlineData(values=points)).encode(x=x, color=colour)
    layers = [
        *_forecast_region(alt, x, measured_until, max((row["x"] for row in rows), default=0.0)),
        line.encode(y=_share(alt, "low"), y2="high:Q").mark_area(opacity=0.14),
        line.encode(y=_share(alt, "y")).mark_line(strokeWidth=2),
        dots.encode(y=_share(alt, "y")).mark_point(size=28, filled=True, opacity=1),
    ]
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def _forecast_region(alt: Any, x: Any, begin: float | None, end: float) -> list[Any]:
    """Grey from where the measurements end."""
    if begin is None or end <= begin * (1 + 1e-9):
        return []
    rows = [{"x": begin, "x2": end, "text": "forecast"}]
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x)
    return [
        base.encode(x2="x2:Q").mark_rect(color=PAPER.ink, opacity=_REGION),
        base.encode(y=alt.value(10), text="text:N").mark_text(
            align="left", dx=4, color=PAPER.ink, fontSize=10
        ),
    ]


# ---------------------------------------------------------------- exchange


def exchange_chart(studies: Sequence[ExchangeStudy]) -> Any:
    """A row a task: accuracy against inference by size, with the joint law; and contours of equal accuracy.

    Raises MissingExtra without altair.
    """
    alt = load_altair()
    rows = [
        alt.hconcat(_by_size(alt, study), _contours(alt, study), spacing=30).resolve_scale(
            color="independent"
        )
        for study in studies
    ]
    return _styled(alt.vconcat(*rows, spacing=24))


def _by_size(alt: Any, study: ExchangeStudy) -> Any:
    """The checkpoint of most training of each size."""
    grid = study.grid
    sizes = np.unique(grid.size)
    points: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for place, size in enumerate(sizes):
        own = np.flatnonzero(grid.size == size)
        model = int(own[grid.tokens[own].argmax()])
        look = {"colour": _ordered(place, len(sizes)), "line": f"{compact(size)} parameters"}
        means = grid.values[:, model].mean(axis=0)
        points += [
            {"x": float(x), "y": float(y), **look}
            for x, y in zip(grid.inference_flop[model], means, strict=True)
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
    panel = _panel(alt, points, rows, "Inference FLOP per problem", measured_until=None)
    ends = _last_of_each(rows)
    text = (
        alt.Chart(alt.InlineData(values=ends))
        .encode(
            x=_log_x(alt, [row["x"] for row in rows], "Inference FLOP per problem"),
            y=_share(alt, "y"),
            text="line:N",
            color=alt.Color("colour:N", scale=None),
        )
        .mark_text(align="right", dx=-3, dy=-8, fontSize=10)
    )
    return alt.layer(panel, text).properties(
        title=_title(alt, study.task, f"{study.strategy}, by size; lines: joint {study.word}")
    )


def _contours(alt: Any, study: ExchangeStudy) -> Any:
    rows: list[dict[str, Any]] = []
    levels = study.exchange.levels
    for place, level in enumerate(levels):
        look = {"colour": _ordered(place, len(levels)), "line": f"{100 * level.accuracy:.2g}%"}
        rows += [
            {"x": float(x), "y": float(y), "low": _known(low, y), "high": _known(high, y), **look}
            for x, y, low, high in zip(level.training, level.inference, level.low, level.high, strict=True)
            if np.isfinite(y)
        ]
    heights = [row[end] for row in rows for end in ("low", "high")]
    heights = heights or list(study.grid.inference_flop.ravel())  # axes alone, where no contour is known
    x = _log_x(alt, list(levels[0].training), "Training FLOP")
    y, low = (_log_y(alt, heights, field, "Inference FLOP per problem") for field in ("y", "low"))
    colour = alt.Color("colour:N", scale=None)
    base = alt.Chart(alt.InlineData(values=rows)).encode(x=x, color=colour, detail="line:N")
    ends = alt.Chart(alt.InlineData(values=_first_of_each(rows)))
    layers = [
        base.encode(y=low, y2="high:Q").mark_area(opacity=0.13),
        base.encode(y=y).mark_line(strokeWidth=2),
        ends.encode(x=x, y=y, color=colour, text="line:N").mark_text(align="left", dx=4, dy=-6, fontSize=10),
    ]
    said = "lines of equal accuracy, by the joint law; bands: 90 %"
    title = _title(alt, "What training and inference exchange for", said)
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
    return _styled(alt.vconcat(*rows, spacing=24))


def _frontier(alt: Any, study: WorthStudy) -> Any:
    frontier = study.frontier
    rows: list[dict[str, Any]] = []
    if frontier.curve is not None and frontier.low is not None and frontier.high is not None:
        rows = [
            {"x": float(x), "y": float(y), "low": float(low), "high": float(high)}
            for x, y, low, high in zip(
                frontier.places, frontier.curve, frontier.low, frontier.high, strict=True
            )
        ]
    measured = zip(frontier.compute, frontier.scores, strict=True)
    points: list[dict[str, Any]] = [{"x": float(x), "y": float(y)} for x, y in measured]
    points += [
        {"x": row.training_flop, "y": row.enhanced.value, "colour": PAPER.lines[1]} for row in study.rows
    ]
    panel = _panel(alt, points, rows, "Training FLOP", measured_until=float(frontier.compute[-1]))
    said = "blue: the best plain models and their law; orange: enhanced"
    return panel.properties(title=_title(alt, study.task, said))


def _bars(alt: Any, study: WorthStudy) -> Any:
    """Compute-equivalent gain with its interval, on a log axis around 1; a gain without an upper end runs to
    the axis' own."""
    known = [(row, row.gain) for row in study.rows if row.gain is not None]
    least = min([1.0, *(gain.low for _, gain in known)])
    most = 10.0 * max([1.0, *(gain.value for _, gain in known)])
    names = [_short(row.model) for row in study.rows]
    bars = [
        {
            "name": _short(row.model),
            "value": gain.value,
            "one": 1.0,
            "low": gain.low,
            "high": most if gain.high is None else min(gain.high, most),
        }
        for row, gain in known
    ]
    none = [{"name": _short(row.model), "said": "undefined"} for row in study.rows if row.gain is None]
    order = alt.Y("name:N", sort=names, scale=alt.Scale(domain=names), title=None)
    value, low = (
        _log_x(alt, [least, most], "Times the training compute", field) for field in ("value", "low")
    )
    base = alt.Chart(alt.InlineData(values=bars)).encode(y=order)
    said = alt.Chart(alt.InlineData(values=none)).encode(y=order, x=alt.value(4), text="said:N")
    layers = [
        base.encode(x=value, x2="one:Q").mark_bar(color=PAPER.lines[1], opacity=0.75, height=_BAR * 0.6),
        base.encode(x=low, x2="high:Q").mark_rule(color=PAPER.ink, strokeWidth=1.4),
        said.mark_text(align="left", fontSize=10, color=PAPER.ink),
    ]
    title = _title(alt, "Worth in training compute", "bars: compute-equivalent gain; lines: 90 %")
    return alt.layer(*layers).properties(width=WIDTH, height=_BAR * len(names), title=title)


def _short(name: str) -> str:
    return plain(name)[-_LONGEST_NAME:]


# ---------------------------------------------------------------- envelope


def envelope_chart(envelope: Envelope, *, title: str) -> Any:
    """Every strategy's accuracy for at most so much compute, and the envelope of them with its band. Raises
    MissingExtra without altair."""
    alt = load_altair()
    thin = [
        {"x": float(x), "y": float(y), "line": name, "colour": PAPER.lines[place % len(PAPER.lines)]}
        for place, name in enumerate(envelope.names)
        for x, y in zip(envelope.compute, envelope.values[place], strict=True)
        if np.isfinite(y)
    ]
    rows = [
        {"x": float(x), "y": float(y), "low": float(low), "high": float(high)}
        for x, y, low, high in zip(envelope.compute, envelope.value, envelope.low, envelope.high, strict=True)
    ]
    x = _log_x(alt, [row["x"] for row in rows], f"Inference {envelope.unit} per problem")
    band = alt.Chart(alt.InlineData(values=rows)).encode(x=x)
    base = alt.Chart(alt.InlineData(values=thin)).encode(
        x=x, y=_share(alt, "y"), color=alt.Color("colour:N", scale=None), detail="line:N"
    )
    names = alt.Chart(alt.InlineData(values=_last_of_each(thin))).encode(
        x=x, y=_share(alt, "y"), color=alt.Color("colour:N", scale=None), text="line:N"
    )
    layers = [
        band.encode(y=_share(alt, "low"), y2="high:Q").mark_area(opacity=0.14, color=PAPER.ink),
        band.encode(y=_share(alt, "y")).mark_line(strokeWidth=5, opacity=0.25, color=PAPER.ink),
        base.mark_line(strokeWidth=1.8),
        names.mark_text(align="right", dx=-3, dy=-8, fontSize=10),
    ]
    return _styled(alt.layer(*layers).properties(width=WIDTH, height=HEIGHT, title=plain(title)))


# ---------------------------------------------------------------- files


def write_ladder_chart(studies: Sequence[ExchangeStudy | WorthStudy], out: Path) -> list[Path]:
    """Write `out`, a .png, .svg or .json file, or with another name all three; what was written. The studies
    are of one kind.

    Raises InputError for another kind of file, MissingExtra where a picture cannot be drawn.
    """
    known = out.suffix in _SUFFIXES
    if out.suffix and not known:
        raise InputError(f"out: {out.name} is no {', '.join(_SUFFIXES)}; give one of these, or no suffix.")
    paths = [out] if known else [out.with_suffix(suffix) for suffix in _SUFFIXES]
    contents = [_content(studies, path.suffix) for path in paths]
    for path, content in zip(paths, contents, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return paths


def _content(studies: Sequence[ExchangeStudy | WorthStudy], suffix: str) -> bytes:
    if suffix == ".json":
        told = [study.to_json() for study in studies]
        return (json.dumps(told, indent=1, allow_nan=False) + "\n").encode()
    try:
        import vl_convert
    except ImportError as error:
        raise MissingExtra("the figure", "report") from error
    of_exchange = [each for each in studies if isinstance(each, ExchangeStudy)]
    of_worth = [each for each in studies if isinstance(each, WorthStudy)]
    chart = exchange_chart(of_exchange) if of_exchange else worth_chart(of_worth)
    specification = chart.to_dict(validate=False)
    if suffix == ".png":
        return bytes(vl_convert.vegalite_to_png(specification, scale=2))
    return str(vl_convert.vegalite_to_svg(specification)).encode()


# ---------------------------------------------------------------- parts


def _styled(chart: Any) -> Any:
    return house_style(chart, PAPER, background=PAPER.paper, padding=8)


def _title(alt: Any, text: str, subtitle: str) -> Any:
    return alt.TitleParams(plain(text), subtitle=plain(subtitle))


def _ordered(place: int, count: int) -> str:
    """From bright to dark, as far apart as so many can be."""
    return _ORDERED[round(place * (len(_ORDERED) - 1) / max(1, count - 1))] if count > 1 else _ORDERED[2]


def _last_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({row["line"]: row for row in rows}.values())


def _first_of_each(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        found.setdefault(row["line"], row)
    return list(found.values())


def _log_x(alt: Any, values: Sequence[float], title: str, field: str = "x") -> Any:
    scale, axis = _log(alt, values)
    return alt.X(f"{field}:Q", scale=scale, axis=axis, title=title)


def _log_y(alt: Any, values: Sequence[float], field: str, title: str) -> Any:
    scale, axis = _log(alt, values)
    return alt.Y(f"{field}:Q", scale=scale, axis=axis, title=title)


def _log(alt: Any, values: Sequence[float]) -> tuple[Any, Any]:
    """A log scale with powers of ten, at most about six of them."""
    low, high = min(values) / 1.2, max(values) * 1.2
    powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    step = max(1, math.ceil(len(powers) / 6))
    ticks = [10.0**power for power in powers if power % step == 0]
    names = [_power(tick) for tick in ticks]
    expression = f"({json.dumps(names)})[indexof({json.dumps(ticks)}, datum.value)]"
    axis = alt.Axis(values=ticks, labelExpr=expression, grid=False)
    return alt.Scale(type="log", domain=[low, high], nice=False), axis


def _power(tick: float) -> str:
    power = round(math.log10(tick))
    return f"{tick:g}" if -2 <= power <= 4 else f"1e{power}"


def _share(alt: Any, field: str) -> Any:
    axis = alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".0%")
    return alt.Y(f"{field}:Q", scale=alt.Scale(domain=[0, 1]), axis=axis, title=None)
