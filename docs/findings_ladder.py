"""Sections 3 to 7 of the page of findings: what the ladder tells of training and inference together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import median

from docs.findings_words import (
    Result,
    chance,
    counted,
    figure,
    listed,
    percent,
    points,
    power,
    side,
    size_name,
    times,
)
from docs.training_pages import table
from ponder.report.words import compact

__all__ = [
    "chains_finding",
    "chains_table",
    "exchange_finding",
    "exchange_table",
    "further_table",
    "gains_finding",
    "gains_table",
    "interaction_finding",
    "interaction_table",
    "joint_finding",
    "joint_table",
    "of",
    "split_table",
]

NOT_RECORDED = "not recorded"
REJECTED, RIGHT = 0.05, 0.01
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
        rows.append([*_named(row), str(len(row["models"])), *numbers, misfit, held, row["word"]])
    head = ("task", "strategy", "models", "b_N", "b_D", "b_k", "c", "misses", "held back", "is a")
    return table(head, rows)


def joint_finding(family: Result) -> str:
    rows = told(family)
    if not rows:
        return refused(family["studies"], "strategy")
    words = Counter(row["word"] for row in rows)
    said = [
        f"Of {counted(len(rows), 'joint fit')} {words['law']} foretell the checkpoints of most training well "
        f"enough to be called a law; {words['trend']} stay a trend."
    ]
    rejected = [row for row in rows if row["product_form"]["p_value"] < REJECTED]
    said.append(
        f"The product form (training and inference FLOP multiply, with equal weights and no interaction) is "
        f"rejected in {len(rejected)} of {len(rows)}."
    )
    weights = [
        f"{figure(row['product_form']['ratio'])} ({' '.join(_named(row))}, "
        f"{chance(row['product_form']['p_value'])})"
        for row in rows
    ]
    said.append(f"Inference weighs as much as training times {listed(weights)}.")
    return " ".join([*said, refused(family["studies"], "strategy")]).strip()


# ---------------------------------------------------------------- exchange


def exchange_table(family: Result, task: str) -> str:
    """What the joint fit says, and what the checkpoints themselves."""
    rows = []
    for strategy in STRATEGIES:
        study = of(family, task, strategy)
        for level in study["levels"] if study is not None else ():
            measured = level["measured"]
            if measured["checkpoints"] == 0 or (level["rate"] is None and measured["rate"] is None):
                continue
            at = f"{100 * level['accuracy']:.0f}"
            spans = f"{level['training_span']:.1f}, {level['inference_span']:.1f}"
            by_fit = [power(level["rate"]), figure(level["rate"]), spans]
            by_checkpoints = [power(measured["rate"]), str(measured["checkpoints"])]
            rows.append([STRATEGIES[strategy], at, *by_fit, *by_checkpoints])
    head = (
        "strategy",
        "accuracy, %",
        "10× training is worth, by the fit",
        "r",
        "decades of training, inference",
    )
    return table([*head, "as measured", "checkpoints"], rows)


def exchange_finding(family: Result, task: str) -> str:
    said = []
    for strategy in STRATEGIES:
        for by, words in RATES.items():
            levels = rated(family, task, strategy, by)
            if levels:
                said.append(f"{STRATEGIES[strategy].capitalize()}, {words}: {_way(levels)}.")
    others = family["others"]
    said += [_beside(family, task, other) for other in others["rates"]]
    return " ".join([*said, _spans(others["spans"])])


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
        f"Decades of training for decades of inference elsewhere, at most: {listed(said)} ({source}); "
        "the table has those that were measured here."
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
        f"The best split of {compact(budget)} FLOP, inside of what was measured (a share without an interval "
        "is the same in every refit, at such an end):\n\n"
    )
    return said + table([*head, "at the end of"], rows)


# ---------------------------------------------------------------- gains


def of_task(gains: Result, task: str) -> list[Result]:
    """The studies of a task that are defined."""
    return [each for each in gains["studies"] if each["task"] == task and "undefined" not in each]


def enhancement(study: Result) -> str:
    name = str(study["enhancement"])
    words = {"vote": "a vote of {}", "pass": "any of {} right", "curated": "curated texts"}
    return words.get(name, name).format(study["samples"])


def gains_table(gains: Result, task: str) -> str:
    """By size, of the most trained model: the gain by law, and its bounds without."""
    studies = of_task(gains, task)
    last = [{model["size"]: model for model in study["models"]} for study in studies]
    sizes = sorted({size for models in last for size in models})
    rows = [
        [size_name(size), *(worth_of(models[size]) if size in models else "" for models in last)]
        for size in sizes
    ]
    costs = [f"{median(x['inference_ratio'] for x in study['models']):.3g}×" for study in studies]
    return table(["parameters", *map(enhancement, studies)], [*rows, ["inference, times a sample", *costs]])


def worth_of(row: Result) -> str:
    """The gain by law, and the bounds."""
    gain = times(row["gain"]) if row["gain"] is not None else "–"
    return f"{gain} ({between(row)})"


def between(row: Result) -> str:
    low, high = row["at_least"], row["at_most"]
    said = [f"≥ {low:.2g}"] if low is not None else []
    said += [f"≤ {high:.2g}"] if high is not None else []
    return ", ".join(said) or "no bounds"


def right_enough(study: Result) -> list[Result]:
    """Models whose plain answers are right one time in a hundred at least: of others a gain says little."""
    return [x for x in study["models"] if x["plain"] is not None and x["plain"]["value"] >= RIGHT]


def gains_finding(gains: Result) -> str:
    """Every enhancement over all checkpoints that are right often enough."""
    rows = []
    for study in gains["studies"]:
        models = [] if "undefined" in study else right_enough(study)
        if models:
            rows.append([enhancement(study), f"`{study['task']}`", *_over(models)])
    head = ("over checkpoints right one time in a hundred", "task", "number", "by law more, less, undefined")
    said = [table([*head, "at least, median", "better than any plain"], rows)] if rows else []
    misses = [each["law_misses"] for each in gains["studies"] if each.get("law_misses") is not None]
    if misses:
        said.append(
            f"The sigmoid through the plain frontier misses it by up to {100 * max(misses):.1f} points; the "
            "bounds need no law."
        )
    return "\n\n".join([*said, *filter(None, [refused(gains["studies"], "enhancement")])])


def _over(models: Sequence[Result]) -> list[str]:
    """How many, what the law says of them, their lower bounds, and how many no plain checkpoint equals."""
    known = [each["gain"] for each in models if each["gain"] is not None]
    more = sum(gain["low"] > 1.0 for gain in known)
    less = sum(gain["high"] is not None and gain["high"] < 1.0 for gain in known)
    lows = [each["at_least"] for each in models if each["at_least"] is not None]
    endless = sum(each["at_most"] is None for each in models)
    by_law = f"{more}, {less}, {len(models) - len(known)}"
    return [str(len(models)), by_law, f"{median(lows):.2g}×" if lows else "–", str(endless)]


def further_table(gains: Result) -> str:
    """Distillation and reinforcement learning: what each is worth on the task trained for, and on others."""
    by_name: dict[str, dict[str, Result]] = {}
    for each in gains["trained_further"]:
        by_name.setdefault(f"{each['campaign']}: {each['name']}", {})[each["breadth"]] = each
    if not by_name:
        return "Distilled and reinforced checkpoints: no result is committed."
    rows = [
        [name, f"`{own['narrow']['task']}`", *_trained(own["narrow"]), *_trained(own.get("broad"))]
        for name, own in by_name.items()
    ]
    head = ("trained further", "on", "right, %", "gain", "broad: right, %", "gain")
    return table(head, rows)


def _trained(row: Result | None) -> list[str]:
    return ["–", "–"] if row is None else [percent(row["score"]), worth_of(row)]


# ---------------------------------------------------------------- interaction


def interaction_table(family: Result) -> str:
    rows = []
    for row in told(family):
        cells = {(each["scale"], each["equal"]): each["law"] for each in row["gains"]}
        numbers = [
            (points if scale == "probability" else figure)(cells[scale, equal])
            for equal in ("samples", "FLOP")
            for scale in ("logit", "probability")
        ]
        rows.append([row["asks_for"], *_named(row), *numbers, _without(row)])
    head = ("asks for", "task", "strategy", "equal samples: logits", "points", "equal FLOP: logits")
    return table([*head, "points", "sign of c"], rows)


def interaction_finding(family: Result) -> str:
    return " ".join([*map(_verdicts, _by_need(family).items()), _agreement(told(family))])


def _by_need(family: Result) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for row in told(family):
        found.setdefault(row["asks_for"], []).extend(row["gains"])
    return found


def _verdicts(item: tuple[str, Sequence[Result]]) -> str:
    need, gains = item
    verdicts = Counter(each["verdict"] for each in gains)
    return (
        f"For {need}: larger models gain more in {verdicts['larger models gain more']} of {len(gains)} "
        f"comparisons, smaller ones in {verdicts['smaller models gain more']}."
    )


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
        f"{side(each['interaction'], *_SIGNS)} without {size_name(each['size'])}"
        for each in row["interaction_without_size"]
        if each["interaction"] is not None and side(each["interaction"], *_SIGNS) != own
    ]
    return "; ".join([own, *other])


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
    return " ".join([*_against(rows), *_lengths(chains["ways"]), *_leads(chains["ways"])])


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
