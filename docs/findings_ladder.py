"""Sections 3, 4, 6 and 7 of the page of findings: what the ladder tells of both kinds of compute together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from math import log10

from docs.findings_words import (
    Result,
    counted,
    figure,
    listed,
    percent,
    points,
    power,
    side,
    size_name,
)
from docs.training_pages import table
from ponder.report.words import compact

__all__ = [
    "STRATEGIES",
    "by_need",
    "chains_finding",
    "chains_table",
    "compared",
    "exchange_finding",
    "exchange_table",
    "interaction_finding",
    "interaction_table",
    "joint_finding",
    "joint_table",
    "measured_interaction_table",
    "of",
    "rated",
    "refused",
    "split_table",
    "told",
    "without_one",
]

NOT_RECORDED = "not recorded"
REJECTED = 0.05
STRATEGIES = {"pass": "any right", "vote": "vote", "chain": "one chain, cut off"}


def of(family: Result, task: str, strategy: str) -> Result | None:
    """The study of a task under a strategy; None where there is none."""
    for row in family["studies"]:
        if (row["task"], row["strategy"]) == (task, strategy):
            return row if "law" in row else None
    return None


def told(family: Result) -> list[Result]:
    return [row for row in family["studies"] if "law" in row]


def refused(studies: Sequence[Result], name: str) -> str:
    """What was recorded and has no study, and why."""
    reasons: dict[str, list[str]] = {}
    for row in studies:
        if row.get("undefined", NOT_RECORDED) != NOT_RECORDED:
            reasons.setdefault(row["task"], []).append(f"{row[name]} ({row['undefined'].partition(':')[0]})")
    return " ".join(f"None for `{task}`: {listed(own)}." for task, own in reasons.items())


def _named(row: Result) -> list[str]:
    return [f"`{row['task']}`", STRATEGIES[row["strategy"]]]


# ---------------------------------------------------------------- the joint law


def joint_table(family: Result) -> str:
    rows = []
    for row in told(family):
        law, ahead = row["law"], row["forecast"]
        held = "–" if ahead is None else f"{100 * ahead['error']:.1f} ({100 * ahead['baseline']:.1f})"
        numbers = [figure(law[name]) for name in ("size", "tokens", "amount", "size x amount")]
        misfit = f"{100 * row['misfit']:.1f}"
        weight = figure(row["product_form"]["ratio"])
        bound = percent(law["ceiling"])
        if row["ceiling"]["is_bound"]:
            bound = f"{100 * law['ceiling']['value']:.1f} (lowest)"
        rows.append([*_named(row), *numbers, _of_amounts(row), bound, weight, misfit, held, row["word"]])
    head = (
        "task",
        "strategy",
        "b_N",
        "b_D",
        "b_k",
        "c",
        "b_k + c·log N: smallest, largest",
    )
    return table([*head, "ceiling, %", "inference's weight", "misses", "held back", "is a"], rows)


def _of_amounts(row: Result) -> str:
    """What ten times the samples add, for the smallest and the largest size."""
    sizes = [each["size"] for each in row["own_training_in_amounts"]]
    law = row["law"]
    return ", ".join(
        f"{law['amount']['value'] + law['size x amount']['value'] * log10(size):.2f}"
        for size in (min(sizes), max(sizes))
    )


def joint_finding(family: Result) -> str:
    rows = told(family)
    if not rows:
        return refused(family["studies"], "strategy")
    words = Counter(row["word"] for row in rows)
    worse = sum(
        row["forecast"] is not None and row["forecast"]["error"] > row["forecast"]["baseline"] for row in rows
    )
    rejected = [row for row in rows if row["product_form"]["p_value"] < REJECTED]
    weights = [
        row["product_form"]["ratio"]["value"] for row in rows if row["product_form"]["ratio"] is not None
    ]
    said = [
        f"- Of {counted(len(rows), 'joint fit')} {words['law'] or 'none'} foretell the checkpoints of most "
        f"training well enough to be called a law; {words['trend']} stay a trend, {worse} of all with a "
        "larger error than saying that nothing changes.",
        "- The product form (accuracy is a function of training FLOP times inference FLOP: equal weights, "
        f"no interaction) is rejected in {len(rejected)} of {len(rows)}; the test takes the joint form for "
        "granted.",
    ]
    if weights:
        said.append(
            "- Inference's weight, the logits that ten times the inference FLOP add for one that ten times "
            f"the training FLOP add, in the middle of what was measured, is {min(weights):.2g} to "
            f"{max(weights):.2g}, and below 1 in {sum(each < 1.0 for each in weights)} of {len(weights)}."
        )
    none = refused(family["studies"], "strategy")
    return "\n".join([*said, *([f"- {none}"] if none else [])])


# ---------------------------------------------------------------- exchange


def exchange_table(family: Result, task: str) -> str:
    """What the joint fit says, and what the checkpoints themselves."""
    rows = []
    for strategy in STRATEGIES:
        study = of(family, task, strategy)
        for level in study["levels"] if study is not None else ():
            measured = level["measured"]
            if not measured["contour"] or (level["rate"] is None and measured["rate"] is None):
                continue
            at = f"{100 * level['accuracy']:.0f}"
            spans = f"{level['training_span']:.1f}, {level['inference_span']:.1f}"
            by_fit = [power(level["rate"]), figure(level["rate"]), spans]
            spanned = f"{measured['training_span']:.1f}, {measured['inference_span']:.1f}"
            by_checkpoints = [power(measured["rate"]), without_one(measured), str(len(measured["contour"]))]
            by_checkpoints.append(spanned)
            rows.append([STRATEGIES[strategy], at, *by_fit, *by_checkpoints])
    head = (
        "strategy",
        "accuracy, %",
        "10× training is worth, by the fit",
        "r",
        "decades of training, inference",
    )
    return table([*head, "as measured", "one left out", "checkpoints", "decades"], rows)


def without_one(measured: Result) -> str:
    """The least and the largest rate with each checkpoint of a contour left out in turn."""
    if measured["without_one"] is None:
        return "–"
    least, most = (power(dict.fromkeys(("value", "low", "high"), each)) for each in measured["without_one"])
    return f"{least} to {most}"


def exchange_finding(family: Result, task: str) -> str:
    said = []
    for strategy in STRATEGIES:
        for by, words in RATES.items():
            levels = rated(family, task, strategy, by)
            if levels:
                said.append(f"{STRATEGIES[strategy].capitalize()}, {words}: {_way(levels)}.")
    others = family["others"]
    said += [_beside(family, task, other) for other in others["rates"]]
    return "\n".join(f"- {each}" for each in [*said, _spans(others["spans"])])


def _beside(family: Result, task: str, other: Result) -> str:
    """At which levels a rate from elsewhere lies inside of the interval."""
    inside = []
    for by, words in RATES.items():
        for strategy in STRATEGIES:
            levels = rated(family, task, strategy, by)
            held = [at for at, rate in levels if rate["low"] <= other["value"] <= rate["high"]]
            if held:
                at = listed([f"{100 * each:.0f}" for each in held])
                inside.append(f"{at} % ({STRATEGIES[strategy]}, {words})")
    return (
        f"The {other['inference']:g}× of {other['name']} ({other['source'].split(',')[0]}) lies inside of "
        f"the interval at {listed(inside) or 'no level'}."
    )


def _way(levels: Sequence[tuple[float, Result]]) -> str:
    """From the lowest level to the highest."""
    (_, first), (_, last) = levels[0], levels[-1]
    if len(levels) == 1:
        return f"the rate is {power(first)} at {100 * levels[0][0]:.0f} %"
    fall, rise = first["low"] > last["high"], first["high"] < last["low"]
    way = "falls surely" if fall else "rises surely" if rise else "does not surely change"
    ends = [f"{power(rate)} at {100 * at:.0f} %" for at, rate in (levels[0], levels[-1])]
    return f"from {ends[0]} to {ends[1]}, the rate {way}"


def rated(family: Result, task: str, strategy: str, by: str) -> list[tuple[float, Result]]:
    """The levels of accuracy that have a rate, by the fit or as measured."""
    study = of(family, task, strategy)
    levels = [] if study is None else study["levels"]
    rates = [(x["accuracy"], x["rate"] if by == "law" else x["measured"]["rate"]) for x in levels]
    return [(at, rate) for at, rate in rates if rate is not None]


RATES = {"law": "by the joint fit", "measured": "as measured"}


def _spans(spans: Sequence[Result]) -> str:
    said = [f"{each['name']} {each['training']:g} for {each['inference']:g}" for each in spans]
    source = spans[0]["source"].split(",")[0]
    return (
        f"Decades of training for decades of inference elsewhere, at most: {listed(said)} ({source}); the "
        "table has those that were measured here."
    )


def split_table(family: Result, task: str) -> str:
    """The best split of the FLOP that the most trained checkpoint took."""
    rows, budget = [], None
    for strategy in STRATEGIES:
        study = of(family, task, strategy)
        for each in study["splits"] if study is not None else ():
            budget = each["budget"]
            rows.append(
                [
                    STRATEGIES[strategy],
                    f"{each['queries']:.0e}",
                    percent(each["inference_share"]),
                    percent(each["accuracy"]),
                    compact(each["size"]),
                    compact(each["tokens"]),
                    f"{each['amount']:.0f}",
                    ", ".join(each["at_bounds"]) or "–",
                ]
            )
    if budget is None:
        return ""
    head = ("strategy", "queries", "inference's share, %", "accuracy, %", "size", "tokens", "amount")
    said = (
        f"The best split of {compact(budget)} FLOP, inside of what was measured (a share without an "
        "interval is the same in every refit, at such an end):\n\n"
    )
    return said + table([*head, "at the end of"], rows)


# ---------------------------------------------------------------- interaction


def interaction_table(family: Result) -> str:
    """By the joint fits, with the sign of their interaction."""
    rows = [[row["asks_for"], *_named(row), *compared(row, "law"), _without(row)] for row in told(family)]
    return table([*_COMPARED, "sign of c"], rows)


def measured_interaction_table(family: Result) -> str:
    """By the checkpoints of most training, without a law."""
    return table(
        _COMPARED, [[row["asks_for"], *_named(row), *compared(row, "measured")] for row in told(family)]
    )


_COMPARED = (
    "asks for",
    "task",
    "strategy",
    "equal samples or tokens: logits",
    "points",
    "equal FLOP: logits",
    "points",
)


def compared(row: Result, by: str) -> list[str]:
    cells = {(each["scale"], each["equal"]): each[by] for each in row["gains"]}
    return [
        (points if scale == "probability" else figure)(cells[scale, equal])
        for equal in ("samples", "FLOP")
        for scale in ("logit", "probability")
    ]


def interaction_finding(family: Result) -> str:
    said = listed([_verdicts(*each) for each in by_need(family).items()])
    return f"By the joint fits larger models gain more in {said}. {_agreement(told(family))}"


def by_need(family: Result) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for row in told(family):
        found.setdefault(row["asks_for"], []).extend(row["gains"])
    return found


def _verdicts(need: str, gains: Sequence[Result]) -> str:
    verdicts = Counter(each["verdict"] for each in gains)
    more, less = verdicts["larger models gain more"], verdicts["smaller models gain more"]
    return f"{more} of {len(gains)} comparisons on {need} (less in {less})"


def _agreement(rows: Sequence[Result]) -> str:
    """The law's word against that of the checkpoints of most training, where both are sure."""
    signs = [
        tuple(side(each[by], "+", "-", "") for by in ("law", "measured"))
        for row in rows
        for each in row["gains"]
        if each["law"] is not None and each["measured"] is not None
    ]
    sure = [pair for pair in signs if all(pair)]
    same = sum(one == other for one, other in sure)
    return (
        f"The checkpoints of most training, without any law, agree in {same} of the {len(sure)} comparisons "
        f"(of {len(signs)}) in which both are sure."
    )


def _without(row: Result) -> str:
    """The coefficient's sign, and whether it hangs on one size."""
    own = side(row["law"]["size x amount"], *_SIGNS)
    other = [
        f"{side(each['law'][_CROSSED], *_SIGNS)} without {size_name(each['size'])}"
        for each in row["without_size"]
        if each["law"] is not None and side(each["law"][_CROSSED], *_SIGNS) != own
    ]
    return "; ".join([own, *other])


_CROSSED = "size x amount"
_SIGNS = ("positive", "negative", "open")


# ---------------------------------------------------------------- chains


def chains_table(chains: Result) -> str:
    """The most trained checkpoint of each run."""
    last = {row["search"].rpartition("/")[0]: row for row in chains["checkpoints"]}
    rows = [
        [
            row["search"],
            f"{row['chain']['tokens']:.0f}",
            percent(row["chain"]["accuracy"]),
            f"{row['samples_at_equal_flop']:.1f}",
            percent(row["vote"]["accuracy"]),
            points(row["vote"]["chain_less_it"]),
            percent(row["pass"]["accuracy"]),
            points(row["pass"]["chain_less_it"]),
        ]
        for row in last.values()
    ]
    head = (
        "most trained",
        "tokens of a chain",
        "one chain, %",
        "samples",
        "their vote, %",
        "chain less vote",
    )
    return table([*head, "any right, %", "chain less any right"], rows)


def chains_finding(chains: Result) -> str:
    rows = chains["checkpoints"]
    if not rows:
        return "Checkpoints that learnt search traces were not recorded."
    said = [*_against(rows), *_lengths(chains["ways"]), *_leads(chains["ways"])]
    return "\n".join(f"- {each}" for each in said)


def _leads(ways: Result) -> Iterator[str]:
    leads = [
        f"`{each['name']}` from {compact(each['first'])} to {compact(each['last'])}"
        + ("" if each["sure"] else " (not surely)")
        for each in ways["leads"]
    ]
    if leads:
        yield f"Of the ways that need no key lead, by FLOP a problem: {', '.join(leads)}."
    known = [each for each in ways["strategies"] if each["accuracy"]]
    ends = [f"`{each['strategy']}` {100 * each['accuracy'][-1]:.1f} %" for each in known]
    yield f"With all draws: {listed(ends)}."


def _against(rows: Sequence[Result]) -> Iterator[str]:
    for rival, words in (("vote", "a vote"), ("pass", "samples of which any may be right")):
        sides = Counter(side(row[rival]["chain_less_it"], "ahead", "behind", "open") for row in rows)
        yield (
            f"At equal FLOP one search chain is surely ahead of {words} in {sides['ahead']} of "
            f"{counted(len(rows), 'checkpoint')}, surely behind in {sides['behind']}."
        )


def _lengths(ways: Result) -> Iterator[str]:
    """What accuracy does as the chain grows."""
    for each in ways["strategies"]:
        if each["strategy"] == LONGER and each["parameters"] is not None:
            law = each["parameters"]
            yield (
                f"As one chain grows, {ways['name']}'s accuracy is a sigmoid of its FLOP (a {each['word']}) "
                f"with ceiling {percent(law['ceiling'])} % and {figure(law['slope'])} logits a decade."
            )


LONGER = "search chains: one chain"
