"""Section 5 of the page of findings: what an enhancement is worth in training compute."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from docs.findings_draws import RIGHT
from docs.findings_ladder import refused
from docs.findings_words import Result, percent, size_name, times
from docs.training_pages import table

__all__ = [
    "bounded",
    "dearer",
    "enhancement",
    "further_table",
    "gains_finding",
    "gains_table",
    "of_task",
    "right_enough",
]


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
    bounds = ("measured more, less", "at least, median", "better than any plain")
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
    above, below, endless = bounded(models)
    return [
        str(len(models)),
        by_law,
        f"{above}, {below}",
        f"{median(lows):.2g}×" if lows else "–",
        str(endless),
    ]


def bounded(models: Sequence[Result]) -> tuple[int, int, int]:
    """For how many the measured plain models say: worth more than the training, less, and more than any."""
    above = sum(each["at_least"] is not None and each["at_least"] > 1.0 for each in models)
    below = sum(each["at_most"] is not None and each["at_most"] < 1.0 for each in models)
    return above, below, sum(each["at_most"] is None for each in models)


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
