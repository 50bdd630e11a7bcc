"""What the essay's pages tell of ponder's own campaigns of training on inference, and of rules' counting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

from docs.essay_results import Result, between, result
from docs.findings_words import listed, points
from docs.training_pages import change, played_to_end, share, table
from ponder.report.govern_words import number
from ponder.report.words import compact

__all__ = ["CAMPAIGNS"]


# ---------------------------------------------------------------- training or inference


def _spent() -> Iterator[dict[str, Any]]:
    """What each way to turn inference into training took: learning, inference, what of it was discarded, and
    what was gained on its own task."""
    for name, arm in played_to_end(result("distill")).items():
        point = _of_most(arm)
        kept, lost = point["teacher_flop_kept"], point["teacher_flop_discarded"]
        gained = point["gained_over"]["before"]
        yield _row(f"distillation, {name}", point["student_flop"], kept + lost, lost, gained)
    for name, arm in played_to_end(result("selfplay")).items():
        gain = arm["gains"][len(arm["rounds"]) - 1]
        lost = sum(each["flop_discarded"] for each in arm["rounds"])
        learnt = gain["flop"] - gain["inference_flop"]
        yield _row(f"self-play, {name}", learnt, gain["inference_flop"], lost, gain["narrow"])
    for name, arm in result("rl")["arms"].items():
        work = {part: each["flop"] for part, each in arm["work"].items() if part != "evaluation"}
        passes = sum(flop for part, flop in work.items() if part != "update")
        yield _row(f"reinforcement learning, {name}", work["update"], passes, None, arm["change"]["1"])


def _row(name: str, learnt: float, inference: float, lost: float | None, gained: Result) -> dict[str, Any]:
    share_of = inference / (inference + learnt)
    return {"name": name, "learnt": learnt, "inference": inference, "discarded": lost, "share": share_of,
            "gained": gained}  # fmt: skip


def spent_table() -> str:
    rows = [
        [row["name"], compact(row["learnt"]), compact(row["inference"]),
         "–" if row["discarded"] is None else compact(row["discarded"]), f"{100 * row['share']:.0f} %",
         f"{1 / (1 - row['share']):.2f}×", change(row["gained"])]
        for row in _spent()
    ]  # fmt: skip
    head = ("campaign", "learning, FLOP", "inference, FLOP", "of it discarded", "inference's share")
    return table([*head, "all over updates alone", "right more often"], rows)


def _best() -> dict[str, Any]:
    """Of the campaigns that learn from their own replies the one that gained most."""
    own = [row for row in _spent() if not row["name"].startswith("distillation")]
    return max(own, key=lambda row: float(row["gained"]["value"]))


def _shares() -> list[float]:
    return [100 * row["share"] for row in _spent()]


_STAGES = {
    "pretrain": "pretraining",
    "rl_update": "updates by reinforcement learning",
    "rollouts": "rollouts",
    "synthetic_data": "synthetic data",
    "teacher_passes": "a teacher's passes",
    "deployment": "inference in deployment",
}


_ANSWERS = ("yes", "ambiguous", "no")


def readings_table() -> str:
    """All texts, and behind them those alone that bind."""
    found, binding = (result("accounts")[name] for name in ("readings", "readings_in_force"))
    rows = [
        [_STAGES[stage], *(f"{counts.get(word, 0)} ({binding[stage].get(word, 0)})" for word in _ANSWERS)]
        for stage, counts in found.items()
    ]
    return table(("stage", "texts (of them in force) that count it", "do not say", "leave it out"), rows)


def life_table() -> str:
    rows = [
        [row["rule"], listed([between(each["value"], each["low"], each["high"]) for each in row["sums"]]),
         "–" if row["line"] is None else number(row["line"]), row["side"]]
        for row in result("accounts")["lives"]["account.yaml"]
    ]  # fmt: skip
    return table(("rule", "counts, FLOP", "line, FLOP", "side"), rows)


def _silent(stage: str) -> str:
    words = []
    for name, what in (("readings", "texts"), ("readings_in_force", "in force")):
        found = result("accounts")[name][stage]
        words.append(f"{found.get('ambiguous', 0)} of {sum(found.values())} {what}")
    return ", and ".join(words)


# ---------------------------------------------------------------- small models


def _of_most(arm: Result) -> Result:
    """The student of most rationales."""
    found: Result = next(each for each in reversed(arm["points"]) if each["kind"] == "rationales")
    return found


def _student(arm: str) -> Result:
    return _of_most(result("distill")[arm])


def students_table() -> str:
    rows = []
    for name, arm in played_to_end(result("distill")).items():
        before, last = arm["points"][0], _of_most(arm)
        answers = next((each for each in arm["points"] if each["kind"] == "answers"), None)
        rows.append(
            [name, *(share(each["passed"]["1"]) for each in (arm["teacher"], before, last)),
             change(last["gained_over"]["fewest"]), "–" if answers is None else share(answers["passed"]["1"])]
        )  # fmt: skip
    head = (
        "arm",
        "teacher",
        "student before",
        "after 32 rationales",
        "over one rationale",
        "from answers alone",
    )
    return table(head, rows)


CAMPAIGNS: dict[str, Callable[[], str]] = {
    "spent table": spent_table,
    "campaigns": lambda: str(len(_shares())),
    "least share": lambda: f"{min(_shares()):.0f}",
    "most share": lambda: f"{max(_shares()):.0f}",
    "median share": lambda: f"{median(_shares()):.0f}",
    "best campaign": lambda: _best()["name"],
    "best gain": lambda: change(_best()["gained"]),
    "readings table": readings_table,
    "life table": life_table,
    "silent on rollouts": lambda: _silent("rollouts"),
    "day of the law": lambda: str(result("accounts")["on"]),
    "student before": lambda: share(result("distill")["verifier"]["points"][0]["passed"]["1"]),
    "student after": lambda: share(_student("verifier")["passed"]["1"]),
    "teacher": lambda: share(result("distill")["verifier"]["teacher"]["passed"]["1"]),
    "student unfiltered": lambda: points(_student("no filter")["gained_over"]["before"]),
    "reinforced": lambda: share(result("rl")["arms"]["GRPO"]["points"][-1]["passed"]["1"]),
    "students table": students_table,
}
"""By the name that a template writes in double braces."""
