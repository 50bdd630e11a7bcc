"""Print and write what came of a campaign: a table, a JSON file, a picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.peers import figures, picture
from benchmarks.peers.bank import SAMPLES, TEMPERATURE, Banked, grader_of
from benchmarks.peers.environments import VERSIONS
from benchmarks.peers.figures import COUNTS, GROUPS, MARGIN, Column, Resampled
from benchmarks.peers.live import FIRST_CHOICE
from benchmarks.peers.outcomes import Outcome
from benchmarks.peers.systems import BASELINE, System

from ponder.tasks import extract
from ponder.verifiers import Grader, grader

__all__ = ["RESULT", "figures_of", "live_check", "write"]

RESULT = Path(__file__).parents[1] / "results" / "peers.json"

# Under which server a system was asked what it took.
REPORTED = {
    "replay": "replayed, usage counts all choices",
    "live": "live, usage counts all choices",
    FIRST_CHOICE: "usage counts the first choice only",
}

_WIDTH = 20


def grading() -> Callable[[Banked, str | None], bool]:
    """Grades a returned text, whoever returned it: ponder's extraction, then the task's grader."""
    opened: dict[str, Grader] = {}
    known: dict[tuple[str, str], bool] = {}

    def right(banked: Banked, text: str | None) -> bool:
        choice = None if text is None else extract.choice(banked.question, text)
        if choice is None:
            return False
        place = banked.question.id, choice
        if place not in known:
            name = grader_of(banked.question.task)
            opened.setdefault(name, grader(name))
            known[place] = opened[name].grade(banked.question, banked.key, choice) is True
        return known[place]

    return right


def figures_of(
    outcomes: Sequence[Outcome], problems: Sequence[Banked], systems: Sequence[System], stage: str
) -> dict[str, Any]:
    """Everything that the table shows of one stage, as JSON. Empty without the baseline."""
    right = grading()
    by_name = figures.columns(outcomes, systems, problems, right, stage)
    result: dict[str, Any] = {}
    if BASELINE not in by_name:
        return result
    answers = _answers(outcomes, problems, stage)
    for group in GROUPS:
        inside = figures.members(problems, group)
        if not inside.any():
            continue
        kept = [banked for banked, own in zip(problems, inside, strict=True) if own]
        resampled = Resampled([banked.question.task for banked in kept])
        reached = {count: figures.reach(by_name, count, inside, resampled) for count in COUNTS}
        keys = [{s.choice for s in b.samples if s.choice is not None and right(b, s.text)} for b in kept]
        result[group] = {
            "problems": len(kept),
            "systems": {n: _row(c, by_name[BASELINE], inside, resampled) for n, c in by_name.items()},
            "reach": {c: _with_best_peer(own, by_name, c, inside, resampled) for c, own in reached.items()},
            "tokens_to_match": {c: figures.to_match(by_name, c, inside, resampled) for c in COUNTS},
            "oracle": figures.oracle(
                kept,
                [answer for answer, own in zip(answers, inside, strict=True) if own],
                by_name[BASELINE].correct[inside],
                keys,
            ),
        }
    return result


def live_check(
    outcomes: Sequence[Outcome], problems: Sequence[Banked], systems: Sequence[System]
) -> dict[str, Any]:
    """Each system's live accuracy less its replayed one, and its live tokens over the replayed ones, on the
    problems that were run live."""
    right = grading()
    live, replayed = (figures.columns(outcomes, systems, problems, right, s) for s in ("live", "replay"))
    resampled = Resampled([banked.question.task for banked in problems])
    return {
        name: {
            "less_replayed": resampled.difference(column.correct, replayed[name].correct),
            "of_replayed": resampled.ratio(column.tokens["generated"], replayed[name].tokens["generated"]),
        }
        for name, column in live.items()
        if name in replayed
    }


def _answers(outcomes: Sequence[Outcome], problems: Sequence[Banked], stage: str) -> list[str | None]:
    """The baseline's choices in the bank's own order."""
    first = {o.problem: o.text for o in outcomes if (o.stage, o.system, o.repeat) == (stage, BASELINE, 0)}
    found = []
    for banked in problems:
        text = first[banked.question.id]
        found.append(None if text is None else extract.choice(banked.question, text))
    return found


def _row(column: Column, base: Column, inside: Any, resampled: Resampled) -> dict[str, Any]:
    return {
        "family": column.system.family,
        "adaptive": column.system.adaptive,
        "accuracy": resampled.mean(column.correct[inside]),
        "less_baseline": resampled.difference(column.correct[inside], base.correct[inside]),
        "samples": float(column.samples[inside].mean()),
        "tokens": {count: resampled.mean(column.tokens[count][inside]) for count in COUNTS},
        "of_baseline": {
            count: resampled.ratio(column.tokens[count][inside], base.tokens[count][inside])
            for count in COUNTS
        },
        "failed": column.failed,
    }


def _with_best_peer(
    reached: Mapping[str, Any], by_name: Mapping[str, Column], count: str, inside: Any, resampled: Resampled
) -> dict[str, Any]:
    """`reached`, with each family's tokens over those of the best adaptive peer that reaches as surely."""
    best: dict[str, str | None] = {}
    for how in ("surely", "nearly"):
        told = [own[how] for own in reached.values() if own[how]]
        peers = [each for each in told if each["adaptive"] and not each["ours"]]
        peer = min(peers, key=lambda each: float(each["tokens"]), default=None)
        best[how] = None if peer is None else peer["system"]
        if peer is not None:
            other = by_name[peer["system"]].tokens[count][inside]
            for each in told:
                own = by_name[each["system"]].tokens[count][inside]
                each["of_best_adaptive_peer"] = resampled.ratio(own, other)
    return {"best_adaptive_peer": best, "families": dict(reached)}


# ---------------------------------------------------------------- shown


def write(
    outcomes: Sequence[Outcome],
    problems: Sequence[Banked],
    systems: Sequence[System],
    place: Path,
    result: Path,
) -> None:
    """Print the table, write the JSON file and the picture beside it."""
    tasks = [banked.question.task for banked in problems]
    told: dict[str, Any] = {
        "what": "ponder beside its_hub and optillm: same endpoint, problems, samples, sampling, extraction",
        "versions": {**VERSIONS, "ponder": metadata.version("ponder")},
        "problems": {task: tasks.count(task) for task in dict.fromkeys(tasks)},
        "samples": SAMPLES,
        "temperature": TEMPERATURE,
        "margin": MARGIN,
        "interval": figures.LEVEL,
        "repeats": 1 + max((o.repeat for o in outcomes if o.stage == "replay"), default=0),
        "replay": figures_of(outcomes, problems, systems, "replay"),
    }
    live = _live_problems(outcomes, problems)
    if live:
        told["live"] = figures_of(outcomes, live, systems, "live")
        told["live_check"] = live_check(outcomes, live, systems)
    told["reported"] = {stage: figures.stated(outcomes, stage) for stage in REPORTED}
    speeds = place / "speed.json"
    if speeds.exists():
        told["speed"] = json.loads(speeds.read_text("utf-8"))
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    if told["replay"]:
        picture.draw(told, result.with_suffix(".png"))
    print("\n".join(lines(told)))
    print(f"\nfigures: {result}")


def _live_problems(outcomes: Sequence[Outcome], problems: Sequence[Banked]) -> list[Banked]:
    asked = {o.problem for o in outcomes if o.stage == "live"}
    return [banked for banked in problems if banked.question.id in asked]


def lines(told: Mapping[str, Any]) -> list[str]:
    """The table as text."""
    out: list[str] = []
    for stage in ("replay", "live"):
        for group, own in told.get(stage, {}).items():
            out += _group(f"{stage}, {group} tasks", own)
    out += _checked(told["live_check"]) if "live_check" in told else []
    for stage, own in told["reported"].items():
        out += _stated(f"tokens that each system reports: {REPORTED[stage]}", own) if own else []
    return out + _speeds(told["speed"]["ratios"]) if "speed" in told else out


def _checked(own: Mapping[str, Any]) -> list[str]:
    out = ["", "live against replayed, on the problems that were run live"]
    out.append(_cells("", "accuracy, points", "generated tokens"))
    return out + [
        _cells(name, _points(row["less_replayed"]), _share(row["of_replayed"])) for name, row in own.items()
    ]


def _stated(title: str, own: Mapping[str, Any]) -> list[str]:
    out = ["", title, _cells("", "true", "reported", "true / reported")]
    for name, row in own.items():
        ratio, reported = row["true_over_reported"], row["reported"]
        out.append(
            _cells(
                name,
                f"{row['true']:,.0f}",
                "says nothing" if reported is None else f"{reported:,}",
                "" if ratio is None else f"{ratio:.2f}",
            )
        )
    return out


def _speeds(ratios: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    out = ["", "tokens/s, 64 samples in flight: the median over rounds [lowest, highest]"]
    out.append(_cells("", *(f"of the {best}" for best in next(iter(ratios.values())))))
    return out + [_cells(name, *map(_share, own.values())) for name, own in ratios.items()]


def _group(title: str, own: Mapping[str, Any]) -> list[str]:
    out = ["", f"{title}: {own['problems']} problems; tokens a problem"]
    out.append(_cells("", "accuracy", "less vote@64", "generated of vote@64", "tokens", "samples"))
    out.append(_cells("", "", "", "", " / ".join(COUNTS), ""))
    for name, row in own["systems"].items():
        out.append(
            _cells(
                name + (f" ({row['failed']} failed)" if row["failed"] else ""),
                _percent(row["accuracy"]),
                _points(row["less_baseline"]),
                _share(row["of_baseline"]["generated"]),
                " / ".join(f"{row['tokens'][count][0]:,.0f}" for count in COUNTS),
                f"{row['samples']:.1f}",
            )
        )
    base = own["systems"][BASELINE]["tokens"]
    for count in COUNTS:
        out += ["", _cells(f"vote@64 within {MARGIN:.0%}: {count}", "tokens", "of vote@64", "of best peer")]
        for family, found in own["reach"][count]["families"].items():
            for how in ("surely", "nearly"):
                out.append(_reached(family, how, found[how]))
        for name, found in own["tokens_to_match"][count].items():
            share = _share(found["ratio"]) if found["ratio"] else "does not"
            out.append(_cells(f"  {name}", "", share, f"in {found['reached']:.0%} of draws"))
        for name, bound in own["oracle"].items():
            share = f"{bound[count] / base[count][0]:.3f}"
            out.append(_cells(f"oracle, {name}", f"{bound[count]:,.0f}", share))
    return out


def _reached(family: str, how: str, chosen: Mapping[str, Any] | None) -> str:
    """A method's cheapest setting that reaches the baseline."""
    if chosen is None:
        return _cells(f"{family}, {how}", "does not")
    peer = chosen.get("of_best_adaptive_peer")
    return (
        _cells(
            f"{family}, {how}",
            f"{chosen['tokens']:,.0f}",
            _share(chosen["of_baseline"]),
            _share(peer) if peer else "",
        )
        + f"  {_points(chosen['difference'])} with {chosen['system']}"
    )


def _cells(name: str, *cells: str) -> str:
    """A line of the table: the name, then cells wide enough for an interval."""
    return f"  {name:<30}" + "".join(f"  {cell:>{_WIDTH}}" for cell in cells)


def _percent(value: Sequence[float]) -> str:
    return f"{100 * value[0]:.1f} [{100 * value[1]:.1f}, {100 * value[2]:.1f}]"


def _points(value: Sequence[float]) -> str:
    return f"{100 * value[0]:+.1f} [{100 * value[1]:+.1f}, {100 * value[2]:+.1f}]"


def _share(value: Sequence[float]) -> str:
    return f"{value[0]:.3f} [{value[1]:.3f}, {value[2]:.3f}]"
