"""The page of findings: text from `_findings.md`, figures and verdicts from benchmarks/laws."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from docs import findings_draws as by_draws
from docs import findings_forms as by_form
from docs import findings_gains as by_gains
from docs import findings_guessing as by_guess
from docs import findings_ladder as by_ladder
from docs import findings_verified as by_verifier
from docs.findings_short import findings
from docs.findings_words import STEPS, Result, listed, percent
from docs.training_pages import table

__all__ = ["findings_page"]

FOLDER = Path(__file__).parent
BENCHMARKS = FOLDER.parent / "benchmarks"
LAWS = BENCHMARKS / "laws"

_ABSENT = "*No result is committed; `make laws` writes it.*"
_WIDTH = 120


def findings_page() -> str:
    """`_findings.md` with each `{{part}}` in its place."""
    text = (FOLDER / "_findings.md").read_text("utf-8")
    filled = re.sub(r"\{\{(.+?)\}\}", lambda match: _filled(match.group(1)), text)
    return re.sub(r"\n{3,}", "\n\n", filled)


def read(name: str) -> Result | None:
    """A result of `make laws`; None where it is not committed."""
    return _json(LAWS / f"{name}.json")


def _json(path: Path) -> Result | None:
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _filled(part: str) -> str:
    if part.endswith(" picture"):
        return _picture(part.removesuffix(" picture"))
    sources, make = PARTS[part]
    found = [read(name) for name in sources]
    known = [each for each in found if each is not None]
    return _wrapped(make(*known)) if len(known) == len(found) else _ABSENT


def _wrapped(text: str) -> str:
    """Paragraphs and points as wide as the page; tables as they are."""
    return "\n".join(
        line
        if line.startswith("|")
        else textwrap.fill(
            line,
            _WIDTH,
            subsequent_indent=" " * _mark(line),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.split("\n")
    )


def _mark(line: str) -> int:
    """The width of a list's mark."""
    found = re.match(r" *(- |\d\. )", line)
    return len(found.group()) if found else 0


_ALT = {
    "coverage": "pass@k of one checkpoint, the law of few draws and its forecast",
    "exchange": "accuracy against inference FLOP by size, and contours of equal accuracy",
    "worth": "the plain frontier with its law, and compute-equivalent gains",
    "chains": "accuracy against inference FLOP of one chain and of many samples",
}


def _picture(name: str) -> str:
    drawn = LAWS / f"{name}.svg"
    return f"![{_ALT[name]}](../benchmarks/laws/{drawn.name})" if drawn.is_file() else ""


# ---------------------------------------------------------------- what there was


def data(recorded: Result) -> str:
    there = [each for each in recorded["tasks"] if each["checkpoints"]]
    absent = [f"`{each['task']}`" for each in recorded["tasks"] if not each["checkpoints"]]
    rows = [
        [
            f"`{each['task']}`",
            each["asks_for"],
            str(each["checkpoints"]),
            str(each["sizes"]),
            str(each["problems"]),
            listed([f"{int(n):,} ({count})" for n, count in each["draws"].items()]),
        ]
        for each in there
    ]
    said = "**Data.** The ladder of small models (`make ladder`, `make record`)"
    bank = recorded["embedded"]
    if bank["problems"]:
        problems = f"{bank['draws']} draws of each of {bank['problems']:,} arithmetic problems"
        said += f", and the embedded model's bank ({bank['model']}, {problems})"
    if absent:
        said += f". Not recorded: {listed(absent)}"
    head = ("task", "asks for", "checkpoints", "sizes", "problems", "draws of each (checkpoints)")
    return f"{said}.\n\n{table(head, rows)}"


def refits(recorded: Result) -> str:
    """Of how many fits the intervals are."""
    found = recorded["refits"]
    return f"by {found['laws']:,} refits ({found['laws of draws']:,} of each law of coverage and of votes)"


# ---------------------------------------------------------------- calibration


def calibration() -> str:
    found = _calibrated()
    shares = _shares(found) if found is not None else []
    if found is None or not shares:
        return _ABSENT
    rows = [
        [name, f"{next(iter(quantities.values()))['trials']:,}", _span(quantities.values())]
        for kind in _KINDS
        for name, quantities in found.get(kind, {}).items()
    ]
    inside = sum(0.85 <= each["share"] <= 0.95 for each in shares)
    least = min(shares, key=lambda each: each["share"])
    said = (
        "On made-up data with a known truth, 90 % intervals hold it in 85 to 95 % of the data sets for "
        f"{inside} of {len(shares)} quantities; the least share is {percent(_as(least))} %, with its own 95 "
        "% interval (`make calibration`, [calibration.json](../benchmarks/results/calibration.json))."
    )
    head = ("law", "data sets", "least and most share over its quantities, %")
    return "\n\n".join([f"{said} {_flagged(found)}".strip(), table(head, rows)])


def _flagged(found: Result) -> str:
    """How often a forecast tells a law of the wrong shape from one of the right shape."""
    told = [
        f"{name} in {percent(_as(each['flagged']))} % of {each['flagged']['trials']:,} data sets"
        for name, each in found.get("flags", {}).items()
    ]
    return f"The forecast of held-back draws calls a trend {listed(told)}." if told else ""


_KINDS = ("draws", "ladder")


def _span(quantities: Iterable[Result]) -> str:
    shares = [100 * each["share"] for each in quantities]
    return f"{min(shares):.1f}" if len(shares) == 1 else f"{min(shares):.1f} to {max(shares):.1f}"


def _shares(found: Result) -> Sequence[Result]:
    return [
        each for kind in _KINDS for quantities in found.get(kind, {}).values() for each in quantities.values()
    ]


def _as(each: Result) -> Result:
    return {"value": each["share"], "low": each["low"], "high": each["high"]}


def _coverage_table(coverage: Result) -> str:
    return by_draws.coverage_table(coverage, _calibrated())


def _coverage_finding(coverage: Result) -> str:
    return "\n".join(filter(None, [by_draws.coverage_finding(coverage), by_draws.far_finding(_calibrated())]))


def _calibrated() -> Result | None:
    return _json(BENCHMARKS / "results" / "calibration.json")


Part = tuple[tuple[str, ...], Callable[..., str]]

PARTS: dict[str, Part] = {
    "data": (("recorded",), data),
    "refits": (("recorded",), refits),
    "findings": (("coverage", "family", "gains", "guessing"), findings),
    "coverage table": (("coverage",), _coverage_table),
    "coverage laws": (("coverage",), by_draws.coverage_laws),
    "coverage finding": (("coverage",), _coverage_finding),
    "guessing table": (("guessing",), by_guess.guessing_table),
    "guessing finding": (("guessing",), by_guess.guessing_finding),
    "guessing limit": (("guessing",), by_guess.guessing_limit),
    "pooled finding": (("guessing",), by_guess.pooled_finding),
    "votes table": (("votes",), lambda votes: by_draws.votes_table(votes, STEPS)),
    "votes finding": (("votes",), by_draws.votes_finding),
    "verified table": (("verified",), by_verifier.verified_table),
    "verified finding": (("verified",), by_verifier.verified_finding),
    "joint table": (("family",), by_ladder.joint_table),
    "joint finding": (("family",), by_ladder.joint_finding),
    "forms table": (("forms",), by_form.forms_table),
    "forms finding": (("forms",), by_form.forms_finding),
    "exchange table": (("family",), lambda family: by_ladder.exchange_table(family, STEPS)),
    "exchange finding": (("family",), lambda family: by_ladder.exchange_finding(family, STEPS)),
    "split table": (("family",), lambda family: by_ladder.split_table(family, STEPS)),
    "gains table": (("gains",), lambda gains: by_gains.gains_table(gains, STEPS)),
    "gains finding": (("gains",), by_gains.gains_finding),
    "curated table": (("gains",), lambda gains: by_gains.curated_table(gains, STEPS)),
    "further table": (("gains",), by_gains.further_table),
    "measured interaction table": (("family",), by_ladder.measured_interaction_table),
    "interaction table": (("family",), by_ladder.interaction_table),
    "interaction finding": (("family",), by_ladder.interaction_finding),
    "chains table": (("chains",), by_ladder.chains_table),
    "chains finding": (("chains",), by_ladder.chains_finding),
    "calibration": ((), calibration),
}
