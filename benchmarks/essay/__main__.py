"""python -m benchmarks.essay [--only PART]"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.essay import evaluators, governance, pictures
from benchmarks.essay.pictures import Bar
from benchmarks.laws.figures import rounded

from ponder.govern.calculator import Chart
from ponder.govern.outcome import Outcome

OUT = Path(__file__).parent
BENCHMARKS = OUT.parent
TASKS = {
    "char_countdown:numbers=4": "reasoning, 4 numbers",
    "char_countdown:numbers=3": "reasoning, 3 numbers",
    "char_chain:operations=6": "reasoning, chains",
    "char_facts:given=false": "memorised facts",
    "char_facts:given=true": "facts in the prompt",
    "char_countdown:numbers=4,search=true": "search traces",
}
WAYS = {"pass": "any right", "vote": "votes", "chain": "one chain, cut off"}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Compute what the essay's pages tell.")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="a part; may be given again")
    stated = parser.parse_args(arguments)
    for name, make in PARTS.items():
        if stated.only is None or name in stated.only:
            began = time.process_time()
            make()
            print(f"{name}: {time.process_time() - began:.0f} s of processor time", flush=True)


def _write(name: str, found: Mapping[str, Any]) -> None:
    text = json.dumps(rounded(found), indent=1, allow_nan=False)
    (OUT / f"{name}.json").write_text(text + "\n", "utf-8")


def _read(path: str) -> Any:
    return json.loads((BENCHMARKS / path).read_text("utf-8"))


def _save(name: str, chart: Any) -> None:
    pictures.save(chart, OUT / f"{name}.svg")


# ---------------------------------------------------------------- the calculators


def governance_part() -> None:
    outcomes = {name: governance.answered(case) for name, case in governance.CASES.items()}
    lags = {str(times): governance.lag_by_budget(times) for times in (10, 1000)}
    told = {name: governance.shortened(each, governance.CASES[name]) for name, each in outcomes.items()}
    apart = {"gaps": governance.gaps(), "compute_ratio": governance.compute_ratio()}
    _write("governance", {"cases": told, "lags": lags, **apart})
    _save("thresholds", pictures.lines(governance.errors_of_filter(outcomes["buffer"])))
    _save("race", _of_table(outcomes["defend"], "race"))
    _save("diffusion", _of_table(outcomes["diffuse"], "performance"))
    _save(
        "access", pictures.bars(list(_access(outcomes["diffuse"])), "years until the capability is reached")
    )
    for name in ("revenue", "training"):
        _save(name, _of_table(outcomes["economy"], name))
    _save("workers", _of_table(outcomes["scale"], "frontier_of_workers"))
    _save("changes", pictures.bars(list(_changes(outcomes["scale"])), "multiplies the workers by", rule=1.0))
    _save("theft", _of_table(outcomes["theft"], "tasks"))


def accounts_part() -> None:
    found = governance.accounts()
    readings = {"readings": governance.readings(), "readings_in_force": governance.readings(binding=True)}
    _write("accounts", {"lives": found, **readings, "on": str(governance.ON)})
    sums = list(_sums(found[governance.ACCOUNTS[0]]))
    _save(
        "accounts", pictures.bars(sums, "FLOP that the rule counts; bars across: the rule's line", log=True)
    )


def _table(outcome: Outcome, name: str) -> Any:
    return next(each for each in outcome.tables if each.name == name)


def _of_table(outcome: Outcome, name: str) -> Any:
    return pictures.lines(_table(outcome, name))


def _access(outcome: Outcome) -> Iterator[Bar]:
    for actor, technique, weights, *years in _table(outcome, "policies").rows:
        yield Bar(f"{actor}", f"technique {technique}, weights {weights}", *years)


def _changes(outcome: Outcome) -> Iterator[Bar]:
    for change, low, times, high in _table(outcome, "what_moves_workers").rows:
        yield Bar(change, "", times, low, high)


def _sums(rows: Sequence[Mapping[str, Any]]) -> Iterator[Bar]:
    for row in rows:
        for each in row["sums"]:
            if each["low"] > 0:
                ends = (each["value"], each["low"], each["high"])
                yield Bar(row["rule"], f"by the {each['method']}", *ends, mark=row["line"])


# ---------------------------------------------------------------- evaluators


def evaluators_part() -> None:
    found = [evaluators.seen_by_samples(name) for name in evaluators.CHECKPOINTS]
    _write("evaluators", {"checkpoints": found, "chain": evaluators.chain()})


def evaluators_picture() -> None:
    shown = _read("essay/evaluators.json")["checkpoints"][-1]
    tiers = {"checked": "with a check", "voted": "by a vote"}
    rows = [
        (words, float(row["samples"]), *_ends(row[tier]))
        for tier, words in tiers.items()
        for row in shown["rows"]
    ]
    rows += [
        ("foretold of 4,096", float(law["samples"]), *_ends(law["foretold"]))
        for law in shown["laws"]
        if "foretold" in law
    ]
    chart = Chart("samples of each problem", "share solved", by="evaluator", log_x=True)
    _save("hidden", pictures.curves(chart, rows))


def _ends(estimate: Mapping[str, float]) -> tuple[float, float, float]:
    return estimate["value"], estimate["low"], estimate["high"]


# ---------------------------------------------------------------- pictures of what other commands computed


def index_picture() -> None:
    """The weight of inference by the level of accuracy: the slope of a contour turned over."""
    rows = []
    for study in _read("laws/family.json")["studies"]:
        if study["task"] != "char_countdown:numbers=4" or "law" not in study:
            continue
        for level in study["levels"]:
            for source, rate in (("fit", level["rate"]), ("measured", level["measured"]["rate"])):
                if rate is not None and rate["low"] > 0:
                    ends = (1.0 / rate["value"], 1.0 / rate["high"], 1.0 / rate["low"])
                    name = f"{WAYS[study['strategy']]}, {'by the fit' if source == 'fit' else 'as measured'}"
                    rows.append((name, 100.0 * level["accuracy"], *ends))
    at = [x for _, x, *_ in rows]
    rows += [("the product form", x, 1.0, 1.0, 1.0) for x in (min(at), max(at))]
    chart = Chart("accuracy, %", "weight of inference", by="strategy", log_y=True)
    _save("index", pictures.curves(chart, rows))


def complement_picture() -> None:
    found = []
    for study in _read("laws/family.json")["studies"]:
        if "law" not in study:
            continue
        for each in study["gains"]:
            if each["scale"] == "logit":
                name = f"{TASKS[study['task']]}, {WAYS[study['strategy']]}, equal {_equal(study, each)}"
                for kind, words in (("law", "by the joint law"), ("measured", "most trained, as measured")):
                    if each[kind] is not None:
                        found.append(Bar(name, words, *_ends(each[kind])))
    _save(
        "complement",
        pictures.bars(found, "logits that the largest size gains more than the smallest", rule=0.0),
    )


def _equal(study: Mapping[str, Any], gains: Mapping[str, Any]) -> str:
    """What both sizes spend as much of."""
    return "tokens" if (study["strategy"], gains["equal"]) == ("chain", "samples") else str(gains["equal"])


def students_picture() -> None:
    """Students by the rationales of each problem that they learnt from."""
    rows = []
    for name, arm in _read("results/distill.json").items():
        if "stopped" in arm:
            continue
        rows += [
            (name, float(point["rationales"]), *_ends(point["passed"]["1"]))
            for point in arm["points"]
            if point["kind"] == "rationales"
        ]
    _save("students", pictures.curves(Chart("rationales of a problem", "right", by="arm", log_x=True), rows))


PARTS: dict[str, Callable[[], None]] = {
    "index": index_picture,
    "complement": complement_picture,
    "students": students_picture,
    "accounts": accounts_part,
    "evaluators": evaluators_part,
    "hidden": evaluators_picture,
    "governance": governance_part,
}

if __name__ == "__main__":
    main()
