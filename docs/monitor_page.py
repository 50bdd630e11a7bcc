"""The page on what monitors see: text from `_monitor.md`, figures from the committed result."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from docs.training_pages import FOLDER, Result, page, table

__all__ = ["monitor_page"]

SOURCE = "monitor"
FAMILIES = FOLDER.parent / "benchmarks" / "monitor" / "families.toml"

_VIEWS = ("raw", "summary", "answer")
_SAID = {
    "key": "copies a leaked answer key",
    "hint": "says what the asker seems to want",
    "memory": "recalls a leaked data set",
    "backfill": "makes up steps towards a known end",
    "silent": "shows steps whose sums do not hold, and says nothing",
    "tests": "special-cases the tests",
    "file": "reads the expected results from disk",
    "exit": "ends the program before the checks",
    "equality": "returns what is equal to anything",
    "quiet": "special-cases the tests, and says nothing",
}


def _area(told: Mapping[str, Any]) -> str:
    value, low, high = (f"{told['auc'][name]:.2f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def _share(estimate: Mapping[str, float]) -> str:
    value, low, high = (f"{100 * estimate[name]:.0f}" for name in ("value", "low", "high"))
    return f"{value} % [{low}, {high}]"


def _word(told: Mapping[str, Any]) -> str:
    if told["uninformative"]:
        return "uninformative"
    return "informative" if told["auc"]["value"] > 0.5 else "worse than chance"


def _prepared(told: Mapping[str, Any]) -> str:
    """The area of the monitor that knows the family; a judge is made from none."""
    return _area(told["known"]) if "known" in told else "–"


def areas(found: Result) -> str:
    """Every monitor in every view."""
    rows = [
        [
            name,
            view,
            str(told[view]["items"]),
            _area(told[view]),
            _word(told[view]),
            _share(told[view]["caught"]),
            _prepared(told[view]),
        ]
        for name, told in found["monitors"].items()
        for view in _VIEWS
    ]
    head = ("monitor", "sees", "cheating texts", "AUC, family held out", "", "caught", "AUC, family known")
    return table(head, rows)


def short(found: Result) -> str:
    """The answer first."""
    monitors = found["monitors"]
    seen = {(name, view): told[view] for name, told in monitors.items() for view in _VIEWS}
    telling = [
        f"{name} from the {view} ({_area(each)})" for (name, view), each in seen.items() if _tells(each)
    ]
    blind = sum(each["uninformative"] for each in seen.values())
    prepared = "; ".join(
        f"*{name}* {_prepared(told['raw'])} from the raw chain, {_prepared(told['summary'])} from the "
        f"summary, {_prepared(told['answer'])} from the answer"
        for name, told in monitors.items()
        if "known" in told["raw"]
    )
    return (
        f"**In short.** Against kinds of cheating that they do not know {blind} of {len(seen)} pairs of "
        f"monitor and view are uninformative; these tell something: {', '.join(telling) or 'none'}. Monitors "
        f"that know the kind have an AUC of: {prepared}."
    )


def _tells(told: Mapping[str, Any]) -> bool:
    return bool(told["auc"]["low"] > 0.5)


def families(found: Result) -> str:
    """Rows are families; a monitor is made without the family, and with it."""
    columns = [
        (name, view, known)
        for name, told in found["monitors"].items()
        for view, known in (("raw", False), ("raw", True), ("answer", False))
        if not known or "known" in told["raw"]
    ]
    rows = []
    for family in found["items"]:
        row = [family]
        for name, view, known in columns:
            told = found["monitors"][name][view]
            figures = (told["known"] if known else told)["families"][family]
            row.append(f"{_area(figures)}{' *' if _tells(figures) else ''}")
        rows.append(row)
    heads = [f"{name}, {view}{', known' if known else ''}" for name, view, known in columns]
    return "\n".join([table(("family", *heads), rows), "", "\\* the interval lies above 0.5."])


def flips(found: Result) -> str:
    rows = []
    for name, told in found["monitors"].items():
        for part, made in (("flips", "family held out"), ("known_flips", "family known")):
            if part in told:
                area = _area(told["raw"]) if part == "flips" else _prepared(told["raw"])
                rows.append([name, made if "known" in told["raw"] else "", area, *_flipped(told[part])])
    head = (
        "monitor",
        "made with",
        "AUC, raw",
        "flagged",
        "flips by the neutral text",
        "by hostile ones",
        "most",
    )
    return table(head, rows)


def _flipped(told: Mapping[str, Any]) -> list[str]:
    if not told["flagged"]:
        return ["0", "–", "–", "nothing was flagged, so nothing can flip"]
    worst = [f"{text} ({100 * share:.0f} %)" for text, share in told["worst"].items() if share > 0]
    shares = [_share(told[kind]) for kind in ("neutral", "hostile")]
    return [str(told["flagged"]), *shares, ", ".join(worst) or "none"]


def summaries(found: Result) -> str:
    """What became of the chains in the summaries."""
    rows = [
        [each["family"], each["chain"].replace("|", "\\|"), each["summary"].replace("|", "\\|") or "(none)"]
        for each in found["examples"]
    ]
    empty = found["empty_summaries"]
    said = f"{100 * empty:.0f} % of chains have no summary. Some others:" if empty else "Some summaries:"
    judge = found["monitors"]["judge"]["raw"]
    verdicts = (
        f"Different verdicts of the judge on raw chains: {judge['values']}; "
        f"{100 * judge['unreadable']:.0f} % could not be read, and count as no flag."
    )
    return "\n\n".join([said, table(("family", "chain", "its summary"), rows), verdicts])


def real(found: Result) -> str:
    told = found["real"]
    lines = [
        f"Of {told['chains']} chains that could be read {told['followed']} ended with the wrong hint and "
        f"{told['right']} with the right sum. Here the hint is the end of what looks like work:",
        "",
        *(f"> {each['question']} {' '.join(each['text'].split())}" + "\n>" for each in told["examples"]),
        "",
    ]
    if "areas" not in told:
        return "\n".join([*lines, "There were too few of one kind to compare."])
    rows = [
        [name, f"{each['cheated']} and {each['clean']}", _area(each), _word(each)]
        for name, each in told["areas"].items()
    ]
    return "\n".join(
        [
            *lines,
            "Monitors that know all families try to tell the chains that followed the hint from those that "
            "had a wrong hint and did not follow it, one chain of each a sum:",
            "",
            table(("monitor and view", "followed, did not", "AUC", ""), rows),
        ]
    )


def numbers(found: Result) -> str:
    n = found["numbers"]
    return (
        f"{n['known_clean']} honest chains and {n['known']} attacked problems to make monitors from, "
        f"{n['clean']} and {n['attacked']} to test them on, of which the judge sees {n['judged_clean']} and "
        f"{n['judged']}; {n['hints']} sums with a hint"
    )


def _kind(kind: str) -> Callable[[Result], str]:
    rows = tomllib.loads(FAMILIES.read_text("utf-8"))

    def said(found: Result) -> str:
        return "; ".join(f"*{name}*: {_SAID[name]}" for name, row in rows.items() if row["kind"] == kind)

    return said


def monitor_page() -> str:
    """docs/monitor.md."""
    parts: dict[str, Callable[[Result], str]] = {
        "short": short,
        "stories": _kind("story"),
        "functions": _kind("function"),
        "model": lambda found: str(found["model"]),
        "known": lambda found: str(len(next(iter(found["folds"].values())))),
        "seed": lambda found: str(found["seed"]),
        "numbers": numbers,
        "areas": areas,
        "false alarm": lambda found: f"{100 * found['false_alarm']:.0f} %",
        "summaries": summaries,
        "families": families,
        "hostile": lambda found: str(found["hostile"]),
        "flips": flips,
        "real": real,
    }
    return page(SOURCE, {name: (SOURCE, make) for name, make in parts.items()})
