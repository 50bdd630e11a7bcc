"""The report: one HTML file that opens offline, with the curve as PNG and SVG beside it.

Model text is hostile until proven otherwise. It enters through Jinja2's autoescape only; charts enter
as JSON in which no `<` survives; and the page's Content-Security-Policy allows the page's own scripts
by hash and nothing else: no network, no eval, no inline handler.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.errors import InputError, MissingExtra
from ponder.measure.curve import Measurement, TaskResult
from ponder.report import figures, words
from ponder.report._html import TEMPLATES, sha, templates, vl_convert, write_whole

__all__ = ["Paths", "page_of", "require_folder", "require_report", "write_report"]

_AXIS = {
    "tokens": ("Tokens", "the mean tokens of one problem, prompt and generation"),
    "flop": ("FLOP", "the mean FLOP of one problem"),
    "samples": ("Samples", "the samples drawn for one problem"),
}
_FLOP = {
    "shape": "FLOP are counted from the model's shape, attention included.",
    "2N": "FLOP are the fallback of 2 · parameters · tokens, for the model's shape is unknown.",
    "unknown": "FLOP are unknown: neither the model's shape nor its parameter count is known.",
}


@dataclass(frozen=True, slots=True)
class Paths:
    """The files of one report."""

    html: Path
    png: Path
    svg: Path


def require_report() -> None:
    """Raise MissingExtra unless everything that a report needs is installed; loads none of it."""
    if any(find_spec(name) is None for name in ("altair", "jinja2", "vl_convert")):
        raise MissingExtra("the report", "report")


def require_folder(folder: Path | str) -> None:
    """Make `folder` if it is missing, and raise InputError unless files can be written into it."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path | str, error: OSError) -> InputError:
    shown = words.plain(str(folder))
    where = shown if len(shown) < 300 else f"{shown[:100]}..."
    return InputError(
        f"to: the report folder {where} cannot be written ({error.strerror or error}); "
        "give another with --to, or set PONDER_REPORTS."
    )


def write_report(measurement: Measurement, folder: Path | str) -> Paths:
    """Write report.html, curve.png (2x) and curve.svg into `folder`, which is made if missing.

    Each file appears whole or not at all. Raises MissingExtra without the extra `report`, InputError
    where the folder cannot be written.
    """
    require_report()
    require_folder(folder)
    converter = vl_convert()
    axis = figures.axes(measurement)[0]
    spec = figures.curve_chart(measurement, axis).to_dict(validate=False)
    folder = Path(folder)
    paths = Paths(folder / "report.html", folder / "curve.png", folder / "curve.svg")
    files = {
        paths.html: page_of(measurement).encode("utf-8"),
        paths.png: converter.vegalite_to_png(spec, scale=2),
        paths.svg: converter.vegalite_to_svg(spec).encode("utf-8"),
    }
    try:
        for path, content in files.items():
            write_whole(path, content)
    except OSError as error:
        raise _unwritable(folder, error) from None
    return paths


# ---------------------------------------------------------------- parts of the page


@cache
def _bundle() -> str:
    """Vega with its embedding and interpreter, as one script that imports nothing."""
    script: str = vl_convert().javascript_bundle("window.vegaEmbed = vegaEmbed;")
    # The parser of HTML must not see these inside a script, wherever a string literal holds them.
    return script.replace("</script", r"<\/script").replace("<!--", r"<\!--")


def _embed(value: Any) -> str:
    """JSON for a script element: ASCII only, and free of every character that HTML could act on."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _policy(scripts: tuple[str, ...], css: str) -> str:
    allowed = " ".join(sha(script) for script in scripts)
    return (
        f"default-src 'none'; script-src {allowed}; style-src {sha(css)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _describe(task: TaskResult) -> str:
    """A chart in words, for those who do not see it."""
    said = []
    for curve in task.curves:
        if curve.points:
            last = max(curve.points, key=lambda p: p.k)
            said.append(f"{figures.label(curve)} {words.percent(last.accuracy)} at {last.k}")
    return f"{task.title}: " + ", ".join(said)


def _figures(measurement: Measurement, charts: list[Any]) -> Iterator[dict[str, Any]]:
    """Each axis with its panels; their Vega specifications are appended to `charts`."""
    from markupsafe import Markup

    converter = vl_convert()
    for axis in figures.axes(measurement):
        panels = []
        for task in measurement.tasks:
            bare = figures.panel(measurement, task, axis, look=figures.PAGE)
            chart = figures.themed(bare, measurement, figures.PAGE)
            spec = converter.vegalite_to_vega(chart.to_dict(validate=False))
            svg = Markup(converter.vega_to_svg(spec))  # noqa: S704 - Vega's own output, its texts escaped
            panels.append({"index": len(charts), "svg": svg, "description": _describe(task)})
            charts.append(spec)
        name, means = _AXIS[axis]
        yield {"axis": axis, "name": name, "means": means, "panels": panels}


def _legend(measurement: Measurement) -> list[dict[str, str]]:
    found = figures.series(measurement, figures.PAGE)
    entries = [{"label": s.label, "kind": s.kind, "colour": s.colour} for s in found if s.kind != "rest"]
    rest = figures.rest_label(found)
    if rest is not None:
        entries.append({"label": rest, "kind": "rest", "colour": figures.PAGE.oracle})
    if any(s.kind == "line" for s in found):
        entries.append({"label": "one sample", "kind": "ring", "colour": ""})
    if any(task.constant is not None for task in measurement.tasks):
        entries.append({"label": "best constant guess", "kind": "rule", "colour": ""})
    return [*entries, {"label": "90% interval", "kind": "band", "colour": "currentColor"}]


def _span(row: words.Row, unit: str) -> str:
    """What one problem costs at the smallest and at the largest budget."""
    if row.cheapest is None or row.dearest is None:
        return words.UNKNOWN
    ends = (getattr(row.cheapest, unit), getattr(row.dearest, unit))
    if None in ends:
        return words.UNKNOWN
    return " to ".join(words.compact(end) for end in ends)


def _stages(measurement: Measurement) -> list[dict[str, str]]:
    longest = max((t.seconds for t in measurement.timings), default=0.0) or 1.0
    return [
        {"name": t.stage, "share": f"{100 * t.seconds / longest:.1f}", "time": words.duration(t.seconds)}
        for t in measurement.timings
    ]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A nested configuration as dotted names and texts."""
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        for i, item in enumerate(value, 1):
            yield from _flat(item, f"{name} {i}")
    elif isinstance(value, list | tuple):
        yield name, ", ".join(str(item) for item in value) or "none"
    else:
        yield name, "not set" if value is None else str(value)


def page_of(measurement: Measurement) -> str:
    """The report's page. Needs the extra `report`."""
    from markupsafe import Markup

    css = (TEMPLATES / "report.css").read_text(encoding="utf-8")
    js = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    charts: list[Any] = []
    drawn = list(_figures(measurement, charts))
    columns = words.columns(measurement)
    created = datetime.fromtimestamp(measurement.created, UTC)
    model = words.model_name(measurement)
    whole, last = words.spending(measurement.usage), words.spending(measurement.new_usage)
    page: str = (
        templates()
        .get_template("report.html")
        .render(
            m=measurement,
            version=__version__,
            title=f"What inference compute buys{f': {model}' if model else ''}",
            finding=words.finding(measurement),
            created=f"{created:%d %B %Y, %H:%M} UTC",
            created_iso=created.isoformat(timespec="seconds"),
            axes=figures.axes(measurement),
            figures=drawn,
            legend=_legend(measurement),
            columns=columns,
            lines=words.lines(measurement) if len(columns) > words.WIDEST else (),
            chosen_by=words.chosen_by(measurement, columns),
            rows=words.rows(measurement, columns),
            span=_span,
            cost=[(name, a, b) for (name, a), (_, b) in zip(whole, last, strict=True)],
            stages=_stages(measurement),
            flop_sentence=_FLOP.get(measurement.flop_method, _FLOP["unknown"]),
            has_examples=any(task.examples for task in measurement.tasks),
            config=list(_flat(measurement.config)),
            policy=_policy((_bundle(), js), css),
            css=Markup(css),  # noqa: S704 - the package's own file
            js=Markup(js),  # noqa: S704 - the package's own file
            bundle=Markup(_bundle()),  # noqa: S704 - Vega, with script ends broken up
            charts=Markup(_embed(charts)),  # noqa: S704 - ASCII JSON without <, > and &
        )
    )
    return page
