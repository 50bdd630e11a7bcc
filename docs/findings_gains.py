"""Section 5 of the page of findings: what an enhancement is worth in training compute."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from docs.findings_draws import RIGHT
from docs.findings_ladder import refused
from docs.findings_words import Result, counted, listed, percent, points, side, size_name, times
from docs.training_pages import table
from ponder.report.words import compact

__all__ = [
    "ABOVE",
    "EQUAL",
    "OWN",
    "both",
    "curated_finding",
    "curated_table",
    "dearer",
    "enhancement",
    "further_table",
    "gains_finding",
    "gains_table",
    "most_trained",
    "of_task",
    "pairs_of",
    "right_enough",
    "surely",
]

SURE = 0.95
"""Of the resamples: one end of a 90 % interval."""


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
    costs = [dearer(study) for study in studies]
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
    bounds = ("more than as good", "less", "more than own", "less", "better than any plain", "≥, median")
    said = [table([*head, *bounds], rows)] if rows else []
    misses = [each["law_misses"] for each in gains["studies"] if each.get("law_misses") is not None]
    if misses:
        said.append(
            f"The sigmoid through the plain frontier misses it by up to {100 * max(misses):.1f} points; the "
            "bounds need no law."
        )
    return "\n\n".join([*said, *filter(None, [refused(gains["studies"], "enhancement")])])


def _over(models: Sequence[Result]) -> list[str]:
    """How many, what the law says of them, their bounds, and how many no plain checkpoint equals."""
    known = [each["gain"] for each in models if each["gain"] is not None]
    more = sum(gain["low"] > 1.0 for gain in known)
    less = sum(gain["high"] is not None and gain["high"] < 1.0 for gain in known)
    by_law = f"{more}, {less}, {len(models) - len(known)}"
    lows = [each["at_least"] for each in models if each["at_least"] is not None]
    return [
        str(len(models)),
        by_law,
        *(both(models, *path) for path in (*EQUAL, *OWN, ABOVE)),
        f"{median(lows):.2g}×" if lows else "–",
    ]


Path = tuple[str, ...]

EQUAL: tuple[Path, Path] = (("beside_equal", "more"), ("beside_equal", "less"))
OWN: tuple[Path, Path] = (("beside_own", "more"), ("beside_own", "less"))
ABOVE: Path = ("above_all",)


def both(models: Sequence[Result], *path: str) -> str:
    """Of how many something is sure, and in brackets of how many it is so as measured."""
    return f"{len(surely(models, *path))} ({sum(_at(each, path)['holds'] for each in models)})"


def surely(models: Sequence[Result], *path: str) -> list[Result]:
    """The models of which something holds as measured and in nearly all resamples."""
    shown = [(each, _at(each, path)) for each in models]
    return [each for each, told in shown if told["holds"] and told["share"] >= SURE]


def _at(row: Result, path: Path) -> Result:
    for name in path:
        row = row[name]
    return row


# ---------------------------------------------------------------- curated texts


def pairs_of(gains: Result, task: str) -> list[Result]:
    """Pairs of curated and plain texts in which any of many is right one time in a hundred with either."""
    return [
        each
        for each in gains["curated"]
        if each["task"] == task and max(each["any"][name]["value"] for name in ("curated", "plain")) >= RIGHT
    ]


def curated_table(gains: Result, task: str) -> str:
    """Curated texts beside plain ones of the same size, seed and tokens."""
    pairs = pairs_of(gains, task)
    if not pairs:
        return ""
    any_of = f"any of {pairs[0]['samples']} right, %"
    rows = [
        [
            size_name(each["size"]),
            compact(each["tokens"]),
            *(
                text
                for name in ("one", "any")
                for text in (
                    percent(each[name]["plain"]),
                    percent(each[name]["curated"]),
                    points(each[name]["more"]),
                )
            ),
        ]
        for each in pairs
    ]
    head = ("parameters", "tokens", "one right, %: plain", "curated", "points more", f"{any_of}: plain")
    return table([*head, "curated", "points more"], rows)


def curated_finding(gains: Result, task: str) -> str | None:
    """In how many pairs curated texts are surely better and worse, and what they do to the most trained."""
    pairs = pairs_of(gains, task)
    if not pairs:
        return None
    samples = pairs[0]["samples"]
    said = "; ".join(
        f"{words} {listed([_where(pairs, name, verdict) for verdict in ('better', 'worse')])}"
        for name, words in (("one", "one sample is"), ("any", f"any of {samples} right is"))
    )
    return (
        f"Curated beside plain texts, {counted(len(pairs), 'pair')} of the same size, seed and tokens: "
        f"{said}. In the pair of most training: {most_trained(pairs)}."
    )


def _where(pairs: Sequence[Result], name: str, verdict: str) -> str:
    """`surely better in 3 (28 thousand parameters after 1M and 3M tokens)`."""
    own = [each for each in pairs if side(each[name]["more"], "better", "worse", "") == verdict]
    by_size: dict[str, list[str]] = {}
    for each in own:
        by_size.setdefault(size_name(each["size"]), []).append(compact(each["tokens"]))
    where = "; ".join(f"{size} parameters after {listed(tokens)} tokens" for size, tokens in by_size.items())
    return f"surely {verdict} in {len(own)}{f' ({where})' if where else ''}"


def most_trained(pairs: Sequence[Result]) -> str:
    """What curated texts do to the pair of most parameters and tokens: a clause."""
    last = max(pairs, key=lambda each: (float(each["size"]), float(each["tokens"])))
    one, many = (last[name]["more"] for name in ("one", "any"))
    return f"one sample {points(one)} points, any of {last['samples']} right {points(many)}"


# ---------------------------------------------------------------- inference, and further training


def dearer(study: Result) -> str:
    """How many times the inference of a plain answer it takes, in the median."""
    ratio = median(each["inference_ratio"] for each in study["models"])
    return f"{ratio:.3g}×"


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
