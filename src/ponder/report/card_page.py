"""The page of a compute card: one sheet of HTML that opens offline, without any script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder.errors import InputError
from ponder.govern.assumptions import ORIGINS
from ponder.govern.card.document import SCHEMA_ID, Assumption, Card, Curve, Rule
from ponder.report import card_words
from ponder.report._html import TEMPLATES, sha, templates, vl_convert, write_whole
from ponder.report.card_chart import axis_of, curves_chart
from ponder.report.govern_words import number
from ponder.report.page import require_report

__all__ = ["write_card_page"]

_STYLES = ("report.css", "govern.css", "account.css", "card.css")
_SCALE = 100.0  # the width of a rule's strip


def write_card_page(card: Card, path: Path) -> None:
    """Write the page.

    Raises MissingExtra without the extra `report`, InputError where it cannot be written.
    """
    require_report()
    content = _html(card).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"out: {path} cannot be written ({reason}); give another path.") from None


def _html(card: Card) -> str:
    from markupsafe import Markup

    css = "".join((TEMPLATES / name).read_text("utf-8") for name in _STYLES)
    environment = templates()
    environment.filters |= {
        "number": number,
        "interval": card_words.interval,
        "middle": card_words.middle,
        "percent": card_words.accuracy,
    }
    asked = [each for each in card.training.rules if each.side != "not asked"]
    page: str = environment.get_template("card.html").render(
        title=f"{card_words.name(card.identity)}: compute card",
        card=card,
        words=card_words,
        version=card.made.ponder,
        schema=SCHEMA_ID,
        css=Markup(css),  # noqa: S704 - the package's own files
        policy=f"default-src 'none'; style-src {sha(css)}; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        panels=[_panel(card, place) for place in range(len(card.tasks))],
        rules=[{"rule": each, "strip": strip} for each, strip in zip(asked, _strips(asked), strict=True)],
        idle=[each.short for each in card.training.rules if each.side == "not asked"],
        open=_opened(card.assumptions),
        origins=[
            (name, said, sum(each.origin == name for each in card.assumptions))
            for name, said in ORIGINS.items()
            if name != "measured"
        ],
    )
    return page


# ---------------------------------------------------------------- accuracy


def _panel(card: Card, place: int) -> dict[str, Any]:
    """A task's picture, and the picture in words."""
    from markupsafe import Markup

    task = card.tasks[place]
    chart = curves_chart(task, large=place == 0, beside=len(card.tasks) - 1)
    svg = vl_convert().vegalite_to_svg(chart.to_dict(validate=False))
    return {
        "task": task,
        "svg": Markup(svg),  # noqa: S704 - Vega's own output, its texts escaped
        "said": f"{task.task}: " + "; ".join(_ends(each) for each in task.curves),
        "axis": axis_of(task),
    }


def _ends(curve: Curve) -> str:
    first, last = curve.measured[0], curve.measured[-1]
    return (
        f"{curve.strategy} from {first.accuracy.value:.0%} at {first.samples:g} to "
        f"{last.accuracy.value:.0%} at {last.samples:g} samples"
    )


# ---------------------------------------------------------------- rules


def _strips(rules: Sequence[Rule]) -> list[dict[str, float] | None]:
    """Where each rule's sum and line lie on one logarithmic scale, 0 to 100; None for a line in money and
    for a sum that is unknown."""
    decades = [_decades(each) for each in rules]
    ends = [value for told in decades if told for value in told.values()]
    low, high = (min(ends), max(ends)) if ends else (0.0, 0.0)
    scale = _SCALE / max(high - low, 1.0)
    return [told and {name: scale * (value - low) for name, value in told.items()} for told in decades]


def _decades(rule: Rule) -> dict[str, float] | None:
    """The sum and the line as powers of ten; None for what has no place on a logarithmic scale of FLOP."""
    if rule.unit != "FLOP" or rule.line is None or not rule.counted or not rule.counted[0].value:
        return None
    return {"sum": math.log10(rule.counted[0].value), "line": math.log10(rule.line.value)}


# ---------------------------------------------------------------- assumptions


def _opened(assumptions: Sequence[Assumption]) -> list[dict[str, Any]]:
    """Those that a reader may doubt: all but what was measured. `width` is the length of a bar for how far an
    answer's cost moves, against the one that moves it most."""
    found = [each for each in assumptions if each.origin != "measured"]
    most = max((each.moves or 0.0 for each in found), default=0.0)
    return [
        {
            "a": each,
            "width": _SCALE * (each.moves or 0.0) / most if most else 0.0,
            "times": 10.0 ** (each.moves or 0.0),
        }
        for each in found
    ]
