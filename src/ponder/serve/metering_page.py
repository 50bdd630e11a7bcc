"""The provider's report for people: amounts in words, and a page that opens offline without a script."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.errors import InputError
from ponder.report import words
from ponder.report._html import TEMPLATES, sha, templates, write_whole
from ponder.report.page import require_report
from ponder.serve.metering import Report, Tally, Use

__all__ = [
    "amount",
    "finding",
    "fleet",
    "metering_html",
    "of_fleet",
    "period",
    "ranked_by",
    "write_metering_page",
]

_RANKS = {"flop": "FLOP", "tokens": "tokens", "requests": "requests"}


def amount(tally: Tally, unit: str) -> str:
    """A sum in words; "at least" what is known where a part is unknown."""
    total, least = tally.total(unit), tally.at_least(unit)
    if total is not None:
        return words.compact(total)
    return f"at least {words.compact(least)}" if least else words.UNKNOWN


def of_fleet(report: Report, tally: Tally) -> str:
    """The share of the fleet in words: 0.41% (0.3% to 0.72%)."""
    share, least = report.of_fleet(tally), report.of_fleet(tally, of_known=True)
    if share is not None:
        return f"{_fine(share.value)} ({_fine(share.low)} to {_fine(share.high)})"
    if least is not None and least.value:
        return f"at least {_fine(least.low)}"
    return words.UNKNOWN


def _fine(share: float) -> str:
    """Two digits: most shares of a fleet are far below a percent."""
    return f"{100 * share:.0f}%" if share >= 0.995 else f"{100 * share:.2g}%"


def fleet(report: Report) -> str:
    """What the fleet can do and what that rests on; that it is unknown where nobody said."""
    known = report.capacity
    if known is None:
        return "The share of the fleet is unknown: its capacity was not stated (--capacity)."
    ends = "" if known.speed.certain else f" ({_speed(known.speed.low)} to {_speed(known.speed.high)})"
    return f"The fleet, {known.stated}, can do {_speed(known.speed.value)}{ends}: {known.basis}."


def _speed(flop: float) -> str:
    return words.compact(flop, "FLOP/s")


def ranked_by(report: Report) -> tuple[str, str]:
    """The unit that shares are shown in, and its name: FLOP or tokens if any are known, else requests."""
    unit = next(unit for unit in _RANKS if unit == "requests" or report.total.at_least(unit))
    return unit, _RANKS[unit] if report.total.total(unit) is not None else f"known {_RANKS[unit]}"


def period(report: Report) -> str:
    """The time that is reported on."""
    ends = [None if each is None else _moment(each) for each in (report.since, report.until)]
    if ends == [None, None]:
        return "All requests on the ledger"
    if ends[0] is None:
        return f"Requests before {ends[1]}"
    return f"Requests from {ends[0]} on" + ("" if ends[1] is None else f" and before {ends[1]}")


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"


def name(use: Use) -> str:
    """A row's name."""
    return use.name if use.name is not None else "no key"


def finding(report: Report) -> str:
    """The report in a sentence or two."""
    if not report.keys:
        return "No requests."
    total, (unit, shown) = report.total, ranked_by(report)
    keyed = any(use.id is not None for use in report.keys)
    made = f"{_counted(len(report.keys), 'key')} made {_counted(total.requests, 'request')}, which"
    who = made if keyed else _counted(total.requests, "request")
    told = f"{who} took {amount(total, 'flop')} FLOP and {amount(total, 'tokens')} tokens."
    if report.capacity is not None:
        told += f" That is {of_fleet(report, total)} of what the fleet could do in that time."
    if len(report.keys) == 1:
        return told
    share = report.concentration(unit, of_known=True)
    largest = f" {name(report.keys[0])} has {words.percent(report.keys[0].known[unit])} of the {shown}"
    five = f", the five largest {words.percent(share['five_largest'])}" if len(report.keys) > 5 else ""
    return f"{told}{largest}{five}."


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")


def write_metering_page(report: Report, path: Path) -> None:
    """Write the page.

    Raises MissingExtra without the extra `report`, InputError where it cannot be written.
    """
    require_report()
    content = metering_html(report).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"out: {path} cannot be written ({reason}); give another path.") from None


def metering_html(report: Report, *, home: str | None = None) -> str:
    """The page, with a way back to `home` if that is given. Needs the extra `serve` or `report`."""
    from markupsafe import Markup

    css = "".join((TEMPLATES / each).read_text("utf-8") for each in ("report.css", "metering.css"))
    environment = templates()
    unit, shown = ranked_by(report)
    page: str = environment.get_template("metering.html").render(
        title="Inference by customer and effort",
        home=home,
        finding=finding(report),
        period=period(report),
        version=__version__,
        css=Markup(css),  # noqa: S704 - the package's own files
        policy=f"default-src 'none'; style-src {sha(css)}; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        unit=shown,
        fleet=fleet(report),
        stated=report.capacity is not None,
        total=_row("All", report.total),
        keys=[_group(report, use, unit, name(use)) for use in report.keys],
        efforts=[_group(report, use, unit, use.name or "by a strategy's name") for use in report.efforts],
        models=[_group(report, use, unit, use.name or words.UNKNOWN) for use in report.models],
        concentration=report.concentration(unit, of_known=True),
        percent=words.percent,
        ledger=report.ledger,
    )
    return page


def _row(title: str, tally: Tally) -> dict[str, Any]:
    units = ("tokens", "reasoning_tokens", "flop", "usd")
    states = {state: tally.states[state] for state in sorted(tally.states)}
    return {
        "title": title,
        "requests": f"{tally.requests:,}",
        "samples": f"{tally.samples:,}",
        "states": ", ".join(f"{count:,} {state}" for state, count in states.items()),
        **{unit: amount(tally, unit) for unit in units},
    }


def _group(report: Report, use: Use, unit: str, title: str) -> dict[str, Any]:
    efforts = [_row(word or "by a strategy's name", tally) for word, tally in use.efforts.items()]
    shares = {"share": use.known[unit], "of_fleet": of_fleet(report, use.tally)}
    return {**_row(title, use.tally), "id": use.id, **shares, "efforts": efforts}
