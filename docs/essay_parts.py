"""What the essay's pages tell of the ladder's laws and of ponder's campaigns: figures and tables by name."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

from docs.essay_campaigns import CAMPAIGNS
from docs.essay_index import INDEX, fits, of_steps
from docs.essay_results import (
    EXAMPLES,
    Result,
    basis_table,
    case,
    in_percent,
    result,
    spanned,
    table_of,
    worded,
)
from docs.findings_ladder import interaction_finding, interaction_table, measured_interaction_table
from docs.findings_words import counted, figure, percent
from docs.training_pages import table
from ponder.govern.scenario import load_yaml
from ponder.quantity import parse
from ponder.report.govern_words import number

__all__ = ["PARTS"]

MOST = 4096


# ---------------------------------------------------------------- complement


def _comparisons(by: str) -> dict[str, int]:
    """In how many comparisons larger models surely gain more, less, or neither."""
    found = {"more": 0, "less": 0, "neither": 0}
    for study in fits():
        for each in study["gains"]:
            if each[by] is not None:
                gain = each[by]
                found["more" if gain["low"] > 0 else "less" if gain["high"] < 0 else "neither"] += 1
    return found


def _compared(by: str) -> str:
    found = _comparisons(by)
    return f"more in {found['more']}, less in {found['less']}, and neither surely in {found['neither']}"


def _extra(scale: str, equal: str, by: str) -> Result | None:
    gains = of_steps("pass")["gains"]
    found: Result | None = next(x for x in gains if (x["scale"], x["equal"]) == (scale, equal))[by]
    return found


# ---------------------------------------------------------------- workers, thresholds, diffusion, race, theft


def changes_table() -> str:
    rows = [[row["change"], spanned(row, "times")] for row in table_of("scale", "what_moves_workers")]
    return table(("change", "multiplies the workers by"), rows)


def _change(name: str) -> str:
    return next(
        spanned(row, "times") for row in table_of("scale", "what_moves_workers") if row["change"] == name
    )


def frontier_table() -> str:
    kinds = {kind: table_of("scale", f"frontier_of_{kind}") for kind in ("workers", "users", "people")}
    rows = [
        [
            row["effort"],
            worded(row["samples"]),
            in_percent(row, "accuracy", "accuracy low", "accuracy high"),
            *(spanned(kinds[kind][place], kind, f"{kind} low", f"{kind} high") for kind in kinds),
        ]
        for place, row in enumerate(kinds["workers"])
    ]
    head = ("effort", "samples", "accuracy", "workers", "users", "people whose speech is read")
    return table(head, rows)


def filter_table() -> str:
    rows = [
        [number(row["line, FLOP"]), in_percent(row, "missed", "missed low", "missed high"),
         in_percent(row, "stopped", "stopped low", "stopped high")]
        for row in table_of("buffer", "filter")
    ]  # fmt: skip
    return table(("line, FLOP", "dangerous models missed", "harmless models stopped"), rows)


def chances_table() -> str:
    rows = [
        [f"{100 * row['chance']:g} %", number(row["line, FLOP"]), number(row["times below the threshold"])]
        for row in table_of("buffer", "lines")
    ]
    return table(("chance", "line, FLOP", "times below the threshold"), rows)


def access_table() -> str:
    rows = [
        [row["actor"], row["technique"], row["weights"], spanned(row, "years", "years low", "years high")]
        for row in table_of("diffuse", "policies")
    ]
    return table(
        ("actor", "technique of inference", "best weights", "years until it has the capability"), rows
    )


def gaps_table() -> str:
    """What each actor has now and in ten years, and how far the leader is ahead of it, draw by draw."""
    reach = {(row["actor"], row["year"]): row for row in table_of("diffuse", "performance")}
    rows = []
    for name, year in reach:
        if year == 0.0:
            first, last = reach[name, 0.0], reach[name, _LAST_YEAR]
            gap = result("governance")["gaps"].get(name)
            apart = (
                ["–"] * 3
                if gap is None
                else [figure(gap["first"]), figure(gap["last"]), f"{100 * gap['grown']:.0f} %"]
            )
            a_year = (last["decades"] - first["decades"]) / _LAST_YEAR
            rows.append([name, *(spanned(x, *_DECADES) for x in (first, last)), f"{a_year:.2f}", *apart])
    head = (
        "actor",
        "over the capability now",
        "in ten years",
        "a year",
        "behind the leader now",
        "in ten years",
        "further behind in",
    )
    return table(head, rows)


_LAST_YEAR = 10.0
_DECADES = ("decades", "decades low", "decades high")


def _gap(name: str, when: str) -> str:
    return figure(result("governance")["gaps"][name][when])


def limits_table() -> str:
    """The limits that a hand can check: by formula, from the scenario's doubling times, and simulated."""
    given = load_yaml(EXAMPLES / "diffuse-limits.yaml")
    hardware, algorithms = (
        parse(given[name], name).in_unit(name, "year").value for name in ("hardware", "algorithms")
    )
    halves = 1.0 / (1.0 / hardware + 1.0 / algorithms)
    outputs = result("governance")["cases"]["diffuse, limits"]["outputs"]
    told = {each["name"]: each["median"] for each in outputs}
    later = {name: told[f"{name} access"] - told["leader access"] for name in _LATER}
    falls = f"{2 ** (1 / halves):.1f}×", f"{told['cost_falls']:.1f}×"
    rows = [["the cost of a fixed performance falls in a year", "2^(1/T)", *falls]]
    for name, (words, formula, worth) in _LATER.items():
        years = f"{worth(halves, algorithms):.1f} years", f"{later[name]:.1f} years"
        rows.append([f"{words}: later by", formula, *years])
    return table(("limit", "formula", "by the formula", "simulated"), rows)


_LATER: dict[str, tuple[str, str, Callable[[float, float], float]]] = {
    "a tenth": ("a tenth of the budget", "T · log2 10", lambda halves, _: halves * log2(10)),
    "a thousandth": ("a thousandth", "T · log2 1000", lambda halves, _: halves * log2(1000)),
    "a year behind": (
        "as rich, a year behind in algorithms",
        "T / T_a · 1 year",
        lambda halves, algorithms: halves / algorithms,
    ),
}


def _lag(times: str) -> str:
    return figure(result("governance")["lags"][times])


def race_table() -> str:
    wanted = (0.1, 1.0, 10.0, 100.0, 1000.0)
    rows: dict[float, dict[str, str]] = {}
    for row in table_of("defend", "race"):
        near = next((x for x in wanted if abs(row["compute ratio"] / x - 1) < 0.01), None)
        if near is not None:
            rows.setdefault(near, {})[row["defence"]] = in_percent(
                row, "exploited", "exploited low", "exploited high"
            )
    names = list(next(iter(rows.values())))
    body = [[f"{ratio:g}", *(cells[name] for name in names)] for ratio, cells in rows.items()]
    return table(("defender's compute over the attacker's", *names), body)


def _race_at(ratio: float, defence: str) -> str:
    """The chance at a fixed ratio of compute."""
    row = next(
        each
        for each in table_of("defend", "race")
        if each["defence"] == defence and abs(each["compute ratio"] / ratio - 1) < 0.01
    )
    return in_percent(row, "exploited", "exploited low", "exploited high")


def economy_table() -> str:
    """Both paths at each whole year."""
    paths = [table_of("economy", name) for name in ("revenue", "training")]
    rows = []
    for revenue, trained in zip(*paths, strict=True):
        if revenue["year"].is_integer():
            cells = (
                spanned(row, unit, f"{unit} low", f"{unit} high")
                for row, unit in ((revenue, "USD/year"), (trained, "FLOP/year"))
            )
            rows.append([f"{revenue['year']:g}", *cells])
    return table(("year", "revenue, USD a year", "training that it buys, FLOP a year"), rows)


def export_table() -> str:
    rows = [
        [f"{100 * row['subsidy']:g} %", number(row["USD per Mtoken"]), worded(row["users"]),
         worded(row["bill, USD/year"]), in_percent(row, "share", "share low", "share high")]
        for row in table_of("economy", "export")
    ]  # fmt: skip
    head = ("subsidy", "USD a million tokens", "users", "bill, USD a year", "share of users")
    return table(head, rows)


def bounded_table() -> str:
    rows = [
        [number(row["chips"]), f"{row['share of draws in which they hold the weights']:.0%} of the draws",
         number(float(row["days at the owner's effort"])), number(row["effort in time"]),
         number(row["tasks done in time"]), number(row["value kept"])]
        for row in table_of("theft", "chips")
    ]  # fmt: skip
    return table(
        (
            "chips",
            "hold the weights in",
            "days at the owner's effort",
            "effort in time",
            "done in time",
            "value kept",
        ),
        rows,
    )


# ---------------------------------------------------------------- evaluators


def _shown() -> Result:
    """The most capable of the checkpoints."""
    found: Result = result("evaluators")["checkpoints"][-1]
    return found


def _seen(samples: int, what: str) -> str:
    return percent(next(row[what] for row in _shown()["rows"] if row["samples"] == samples))


def _rare() -> str:
    rare = _shown()["rare"]
    return (
        f"{rare['problems']} problems that it solves, but in at most {100 * rare['most']:g} % of its replies"
    )


def evaluators_table() -> str:
    rows = []
    for each in result("evaluators")["checkpoints"]:
        rows += [
            [f"`{each['name']}`", f"{row['samples']:,}", worded(row["tokens"]), percent(row["checked"]),
             percent(row["checked_share"]), percent(row["rare"]), percent(row["voted"])]
            for row in each["rows"]
        ]  # fmt: skip
    head = ("model", "samples", "tokens", "with a check, %", f"of what {MOST:,} solve, %", "of rare ones, %")
    return table([*head, "by a vote, %"], rows)


def foretold_table() -> str:
    rows = []
    for each in result("evaluators")["checkpoints"]:
        truth = percent(each["rows"][-1]["checked"])
        for law in each["laws"]:
            told = [law["law"], percent(law["foretold"]), truth, "yes" if law["holds"] else "no"]
            rows.append([f"`{each['name']}`", f"{law['samples']:,}", *told])
    head = (
        "model",
        "samples",
        "law that they choose",
        f"says of {MOST:,}, %",
        "measured, %",
        "intervals meet",
    )
    return table(head, rows)


def _forecasts() -> str:
    laws = [law for each in result("evaluators")["checkpoints"] for law in each["laws"]]
    return f"{sum(law['holds'] for law in laws)} of {counted(len(laws), 'forecast')}"


def chain_table() -> str:
    chain = result("evaluators")["chain"]
    rows = [[f"{row['tokens']:,}", percent(row)] for row in chain["rows"]]
    return table(("tokens that may be written", "right, %"), [*rows, ["to the end", percent(chain["whole"])]])


def _cut(tokens: int) -> str:
    return percent(next(row for row in result("evaluators")["chain"]["rows"] if row["tokens"] == tokens))


PARTS: dict[str, Callable[[], str]] = {
    **CAMPAIGNS,
    **INDEX,
    "compared by law": lambda: _compared("law"),
    "compared as measured": lambda: _compared("measured"),
    "extra by law": lambda: figure(_extra("logit", "samples", "law")),
    "extra as measured": lambda: figure(_extra("logit", "samples", "measured")),
    "interaction table": lambda: interaction_table(result("family")),
    "interaction finding": lambda: interaction_finding(result("family")),
    "measured table": lambda: measured_interaction_table(result("family")),
    "changes table": changes_table,
    "frontier table": frontier_table,
    "basis table": basis_table,
    "workers without a law": lambda: next(
        spanned(row, "workers", "workers low", "workers high")
        for row in table_of("scale", "what_workers_rest_on")
        if row["taken"] == "every task takes the most samples"
    ),
    "where budgets bite": lambda: next(
        each for each in case("scale")["notes"] if each.startswith("An effort's budget")
    ),
    "twice the chips": lambda: _change("twice the chips"),
    "twice the samples": lambda: _change("twice the samples of a task"),
    "longer prompt": lambda: _change("four times the prompt"),
    "longer tasks": lambda: _change("tasks that take a person twice as long"),
    "filter table": filter_table,
    "chances table": chances_table,
    "access table": access_table,
    "limits table": limits_table,
    "lag of a tenth": lambda: _lag("10"),
    "lag of a thousandth": lambda: _lag("1000"),
    "gaps table": gaps_table,
    "poorer's gap now": lambda: _gap("poorer", "first"),
    "poorer's gap later": lambda: _gap("poorer", "last"),
    "small's gap now": lambda: _gap("small", "first"),
    "small's gap later": lambda: _gap("small", "last"),
    "follower's gap now": lambda: _gap("follower", "first"),
    "follower's gap later": lambda: _gap("follower", "last"),
    "compute ratio": lambda: figure(result("governance")["compute_ratio"]),
    "race at ten": lambda: _race_at(10.0, "search, patch later"),
    "race table": race_table,
    "economy table": economy_table,
    "export table": export_table,
    "bounded table": bounded_table,
    "evaluators' model": lambda: f"`{_shown()['name']}`",
    "seen with 1": lambda: _seen(1, "checked_share"),
    "seen with 16": lambda: _seen(16, "checked_share"),
    "seen with 256": lambda: _seen(256, "checked_share"),
    "rare": _rare,
    "rare with 1": lambda: _seen(1, "rare"),
    "rare with 16": lambda: _seen(16, "rare"),
    "rare with 256": lambda: _seen(256, "rare"),
    "seen by votes": lambda: _seen(MOST, "voted_share"),
    "evaluators table": evaluators_table,
    "foretold table": foretold_table,
    "forecasts": _forecasts,
    "chain table": chain_table,
    "cut at 64": lambda: _cut(64),
    "whole chain": lambda: percent(result("evaluators")["chain"]["whole"]),
}
"""By the name that a template writes in double braces."""
