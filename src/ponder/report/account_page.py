"""The page of an account of training compute: one HTML file that opens offline, without any script."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ponder._version import __version__
from ponder.errors import InputError
from ponder.govern.accounting import Account, Finding, Stage
from ponder.govern.accounting.count import BY_READING
from ponder.govern.accounting.document import notes
from ponder.govern.accounting.stages import KINDS, Estimate
from ponder.govern.accounting.words import amount, applies, counted, scientific, sentences
from ponder.govern.assumptions import ORIGINS, Assumption
from ponder.report._html import TEMPLATES, sha, templates, vl_convert, write_whole
from ponder.report.account_chart import sums_chart
from ponder.report.govern_words import number
from ponder.report.page import require_report

__all__ = ["write_account_page"]

_STYLES = ("report.css", "govern.css", "account.css")


def write_account_page(account: Account, assumptions: Sequence[Assumption], path: Path) -> None:
    """Write the page.

    Raises MissingExtra without the extra `report`, InputError where it cannot be written.
    """
    require_report()
    content = _html(account, assumptions).encode("utf-8")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"out: {path} cannot be written ({reason}); give another path.") from None


def _html(account: Account, assumptions: Sequence[Assumption]) -> str:
    from markupsafe import Markup

    css = "".join((TEMPLATES / name).read_text("utf-8") for name in _STYLES)
    environment = templates()
    environment.filters["number"] = number
    chart = sums_chart(account.findings)
    svg = None if chart is None else vl_convert().vegalite_to_svg(chart.to_dict(validate=False))
    asked = [each for each in account.findings if each.side != "not asked"]
    page: str = environment.get_template("account.html").render(
        title=f"{account.lifecycle.model}: training compute under every rule",
        on=account.on,
        version=__version__,
        css=Markup(css),  # noqa: S704 - the package's own files
        policy=f"default-src 'none'; style-src {sha(css)}; img-src data:; base-uri 'none'; "
        "form-action 'none'",
        findings=[_finding(account, each) for each in account.findings],
        notes=notes(account),
        svg=None if svg is None else Markup(svg),  # noqa: S704 - Vega's own output, its texts escaped
        said="; ".join(f"{each.rule.short}: {counted(each)}, {each.side}" for each in asked),
        stages=[_stage(each) for each in account.lifecycle.stages],
        assumptions=assumptions,
        origins=[
            (name, words, sum(each.origin == name for each in assumptions)) for name, words in ORIGINS.items()
        ],
    )
    return page


def _finding(account: Account, finding: Finding) -> dict[str, Any]:
    unit = " USD" if finding.rule.measure == "usd" else ""
    return {
        "rule": finding.rule,
        "standing": finding.standing,
        "binds": finding.rule.binds(account.on),
        "counted": counted(finding),
        "line": "–" if finding.side == "not asked" else scientific(finding.line.value) + unit,
        "side": finding.side,
        "css": {"not asked": "idle", BY_READING: "undecided"}.get(finding.side, finding.side),
        "applies": applies(finding),
        "words": " ".join(sentences(account, finding)),
        "parts": () if finding.rule.measure == "usd" else finding.parts,
    }


def _stage(stage: Stage) -> dict[str, str]:
    def shown(estimate: Estimate | None) -> str:
        return "unknown" if estimate is None else amount(estimate)

    return {
        "name": stage.name,
        "what": KINDS[stage.kind].what,
        "operations": shown(stage.architecture),
        "hours": shown(stage.hardware),
        "origin": stage.origin,
    }
