"""What the page of the index of performance tells: weights of inference against training, and the ceiling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import log10

from docs.essay_results import Result, result
from docs.findings_words import STEPS, chance, counted, figure, listed, percent
from docs.training_pages import table

__all__ = ["INDEX", "WAYS", "fits", "of_steps"]

WAYS = {"pass": "any right", "vote": "votes", "chain": "one chain, cut off"}


def fits() -> list[Result]:
    return [each for each in result("family")["studies"] if "law" in each]


def of_steps(way: str) -> Result:
    """The reasoning task's fit."""
    return next(each for each in fits() if (each["task"], each["strategy"]) == (STEPS, way))


def _contours() -> Iterator[tuple[str, str, float, dict[str, float]]]:
    """(strategy, by, accuracy, weight): decades of training that a decade of inference is worth along a line
    of equal accuracy, which is the line's slope turned over."""
    for way in ("pass", "vote"):
        for level in of_steps(way)["levels"]:
            for by, rate in (("by the fit", level["rate"]), ("as measured", level["measured"]["rate"])):
                if rate is not None and rate["low"] is not None and rate["low"] > 0.0:
                    weight = {"value": 1 / rate["value"], "low": 1 / rate["high"], "high": 1 / rate["low"]}
                    yield WAYS[way], by, level["accuracy"], weight


def _holds_one(weight: Result) -> bool:
    return bool(weight["low"] <= 1.0 <= weight["high"])


def by_size_and_tokens(study: Result) -> float:
    """The weight of inference by the fit in size, tokens and amounts: a decade of amounts over one of tokens,
    at the middle of the sizes' logarithms."""
    fitted = {name: told["value"] for name, told in study["law"].items()}
    sizes = [each["size"] for each in study["without_size"]]
    middle = (log10(min(sizes)) + log10(max(sizes))) / 2.0
    weight: float = (fitted["amount"] + fitted["size x amount"] * middle) / fitted["tokens"]
    return weight


def weights_table() -> str:
    """By both forms. Whether the product form can be so is tested only by a fit that foretells."""
    rows = [
        [f"`{study['task']}`", WAYS[study["strategy"]], figure(study["product_form"]["ratio"]),
         f"{by_size_and_tokens(study):.2f}", figure(study["product_form"]["interaction"]), study["word"],
         chance(study["product_form"]["p_value"]) if study["word"] == "law" else "–"]
        for study in fits()
    ]  # fmt: skip
    head = ("task", "strategy", "weight of inference at fixed size", "by size and tokens", "interaction")
    return table((*head, "the fit is a", "equal weights and no interaction"), rows)


def _apart() -> str:
    weights = [study["product_form"]["ratio"] for study in fits()]
    return f"{sum(not _holds_one(each) for each in weights)} of {counted(len(weights), 'fit')}"


def _laws() -> str:
    words = [study["word"] for study in fits()]
    return f"{words.count('law')} of {len(words)}"


def contours_table() -> str:
    rows = [
        [way, by, f"{100 * at:.0f}", figure(weight), "yes" if _holds_one(weight) else "no"]
        for way, by, at, weight in _contours()
    ]
    return table(("strategy", "how", "accuracy, %", "weight of inference", "1 is inside"), rows)


def _top_votes() -> Result:
    """Votes of the best of the checkpoints that most was drawn of."""
    own = [each for each in result("votes")["sources"] if each["task"] == STEPS and each["limit"] is not None]
    found: Result = max(own, key=lambda each: (each["draws"], each["one"]["value"]))
    return found


def ceiling_table() -> str:
    rows = [
        [f"`{each['name']}`", f"{each['draws']:,}", percent(each["one"]), percent(each["all"]),
         percent(each["limit"]), f"{100 * each['falls']:.0f} %"]
        for each in result("votes")["sources"]
        if each["task"] == STEPS and each["name"].endswith("/6") and each["limit"] is not None
    ]  # fmt: skip
    head = (
        "model",
        "samples",
        "one sample, %",
        "vote of all, %",
        "limit, %",
        "falls before 100 times as many",
    )
    return table(head, rows)


def elsewhere() -> str:
    """Published exchange rates as weights."""
    others = result("family")["others"]
    rates = [
        f"{1 / each['value']:.2f} for {each['name']} ({each['source'].split(',')[0]})"
        for each in others["rates"]
    ]
    spans = [
        f"{each['training'] / each['inference']:.2f} for {each['name']} (to {each['training']:g} of training)"
        for each in others["spans"]
    ]
    return f"{listed(rates)}; and {listed(spans)} ({others['spans'][0]['source'].split(',')[0]})"


INDEX: dict[str, Callable[[], str]] = {
    "weight, any right": lambda: figure(of_steps("pass")["product_form"]["ratio"]),
    "weight, votes": lambda: figure(of_steps("vote")["product_form"]["ratio"]),
    "other weight, any right": lambda: f"{by_size_and_tokens(of_steps('pass')):.2f}",
    "other weight, votes": lambda: f"{by_size_and_tokens(of_steps('vote')):.2f}",
    "apart from one": _apart,
    "laws among them": _laws,
    "level with one": lambda: f"{sum(_holds_one(w) for *_, w in _contours())} of {len(list(_contours()))}",
    "votes' limit": lambda: f"{percent(_top_votes()['limit'])} %",
    "votes' model": lambda: f"`{_top_votes()['name']}`",
    "weights table": weights_table,
    "contours table": contours_table,
    "ceiling table": ceiling_table,
    "elsewhere": elsewhere,
}
"""By the name that a template writes in double braces."""
