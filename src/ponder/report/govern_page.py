"""The page of an outcome: one HTML file that opens offline, without any script.

Names and notes come from scenarios and runs: they enter through Jinja2's autoescape only, and the page's
Content-Security-Policy allows no script at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.errors import InputError
from ponder.govern.assumptions import ORIGINS
from ponder.govern.outcome import Outcome
from ponder.report import govern_charts
from ponder.report._html import TEMPLATES, sha, templates, vl_convert, write_whole
from ponder.report.govern_words import number, numbers
from ponder.report.page import require_report

__all__ = ["write_govern_page"]

_LONGEST_TABLE = 60


def write_govern_page(outcome: Outcome, path: Path) -> None:
    """Write the page.

    Raises MissingExtra without the extra `report`, InputError where it cannot be written.
    """
    require_report()
    content = _html(outcome).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise InputError(
            f"out: {path} cannot be written ({error.strerror or error}); give another path."
        ) from None


def _html(outcome: Outcome) -> str:
    from markupsafe import Markup

    css = "".join((TEMPLATES / name).read_text("utf-8") for name in ("report.css", "govern.css"))
    environment = templates()
    environment.filters |= {"number": number, "numbers": numbers, "beside": _beside}
    environment.filters |= {"sentence": lambda text: text.rstrip(".")}
    known = [each.origin for each in outcome.assumptions if each.quantity is not None]
    page: str = environment.get_template("govern.html").render(
        title=outcome.title,
        o=outcome,
        version=__version__,
        css=Markup(css),  # noqa: S704 - the package's own files
        policy=f"default-src 'none'; style-src {sha(css)}; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        tornados=_tornados(outcome),
        tables=[(each, _svg(govern_charts.line_chart(each))) for each in outcome.tables],
        longest=_LONGEST_TABLE,
        origins=[(name, said, known.count(name)) for name, said in ORIGINS.items()],
    )  # fmt: skip
    return page


def _beside(rows: Sequence[Sequence[str | float | None]]) -> list[list[tuple[str | float | None, str]]]:
    """Each cell with its text, figures of a column in one kind."""
    said = zip(*(numbers(column) for column in zip(*rows, strict=True)), strict=True)
    return [list(zip(row, texts, strict=True)) for row, texts in zip(rows, said, strict=True)]


def _tornados(outcome: Outcome) -> list[dict[str, Any]]:
    """Each output that something moves, with its picture and the picture in words."""
    found = []
    for each in outcome.results:
        swings = outcome.swings.get(each.name, ())
        if not swings:
            continue
        svg = _svg(govern_charts.tornado_chart(swings, outcome.middle[each.name], each.unit))
        if svg is not None:
            most = [f"{s.input} {number(s.at_low)} to {number(s.at_high)}" for s in swings[:3]]
            found.append({"result": each, "svg": svg, "said": f"{each.what}: {'; '.join(most)}"})
    return found


def _svg(chart: Any | None) -> Any | None:
    """A chart as SVG text for the page; None for no chart."""
    from markupsafe import Markup

    if chart is None:
        return None
    svg = vl_convert().vegalite_to_svg(chart.to_dict(validate=False))
    return Markup(svg)  # noqa: S704 - Vega's own output, its texts escaped
