"""The pages on training: text from `_NAME.md`, figures from the committed results of the campaigns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ponder.report.words import compact, percent

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "benchmarks" / "results"

Result = Mapping[str, Any]
Part = Callable[[Result], str]

_COMMANDS = {
    "distill": "make distill",
    "selfplay": "make selfplay",
    "rl": "make rl",
    "pretrain": "make rl",
    "ladder/rl/154k-steps-random-0-4/rl": "make rl",
    "real_model": "python -m benchmarks.real_model",
    "defence": "make defence",
    "monitor": "make monitor",
}


def page(name: str, parts: Mapping[str, tuple[str, Part]]) -> str:
    """The page `_NAME.md` with each `{{part}}` in its place: what a function makes of the result that it is
    named with, or how to make that result where it is not committed."""
    text = (FOLDER / f"_{name}.md").read_text("utf-8")
    missing = set[str]()

    def filled(match: re.Match[str]) -> str:
        source, make = parts[match.group(1)]
        found = read(source)
        if found is not None:
            return make(found)
        said_before = source in missing
        missing.add(source)
        return "*No result is committed.*" if said_before else _absent(source)

    return re.sub(r"\{\{(.+?)\}\}", filled, text)


def read(name: str) -> Result | None:
    """A committed result, None where there is none."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _absent(source: str) -> str:
    return (
        f"*No result is committed. `{_COMMANDS[source]}` writes `benchmarks/results/{source}.json`; "
        f"`make docs`\nthen puts what it found here.*"
    )


# ---------------------------------------------------------------- tables and numbers


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def share(estimate: Result | None, sign: str = "") -> str:
    """A share or a difference with its interval."""
    if estimate is None:
        return "–"
    value, low, high = (f"{estimate[name]:{sign}.3f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


change = partial(share, sign="+")


def surely(estimate: Result) -> str:
    """Which way a difference goes, if its interval leaves no doubt."""
    if estimate["low"] > 0:
        return "more"
    return "less" if estimate["high"] < 0 else "not surely more or less"


def played_to_end(result: Result) -> dict[str, Result]:
    return {name: arm for name, arm in result.items() if "stopped" not in arm}


def _stopped(result: Result) -> str:
    lines = [f"- {name}: stopped. {arm['stopped']}" for name, arm in result.items() if "stopped" in arm]
    return "".join(f"\n\n{line}" for line in lines)


def _highest(passed: Result) -> str:
    return max(passed, key=int)


# ---------------------------------------------------------------- distillation


def students(result: Result, arms: Sequence[str]) -> str:
    """Every student of some arms, beside its teacher."""
    rows = []
    other = "answers" if "chains" in arms else "fewest"
    for name in arms:
        if name not in played_to_end(result):
            continue
        arm = result[name]
        teacher = arm["teacher"]["passed"]
        rows.append([f"**{name}**: teacher", "", "", "", share(teacher["1"]), "", ""])
        for point in arm["points"]:
            spent = f"{compact(point['teacher_flop_kept'])} + {compact(point['teacher_flop_discarded'])}"
            rows.append(
                [
                    point["name"],
                    f"{point['texts']:,}",
                    compact(point["student_flop"]),
                    spent,
                    share(point["passed"]["1"]),
                    change(point["gained_over"]["before"]),
                    change(point["gained_over"][other]),
                ]
            )
    over = "over answers alone" if other == "answers" else "over one rationale"
    head = ("student", "texts", "FLOP", "teacher's FLOP, kept + discarded", "pass@1", "over before", over)
    return table(head, rows) + _stopped({name: result[name] for name in arms if name in result})


def distillation_findings(result: Result) -> str:
    found = []
    for name, arm in played_to_end(result).items():
        points = {point["name"]: point for point in arm["points"]}
        most = [point for point in arm["points"] if point["kind"] == "rationales"][-1]
        n, gain = most["rationales"], most["gained_over"]["fewest"]
        found.append(
            f"- {name}: a student of {n} rationales a problem is right {surely(gain)} often than one of a "
            f"single rationale, at equal training tokens: {change(gain)}."
        )
        if "answers" in points:
            over = most["gained_over"]["answers"]
            found.append(
                f"- {name}: rationales teach {surely(over)} than the same answers alone, at equal training "
                f"tokens: {change(over)}."
            )
        wasted = most["teacher_flop_discarded"] / (most["teacher_flop_kept"] + most["teacher_flop_discarded"])
        found.append(
            f"- {name}: the teacher's inference is {_times(most)} the student's training; "
            f"{percent(wasted)} of it was discarded."
        )
    return "\n".join(found)


def _times(point: Result) -> str:
    teacher = point["teacher_flop_kept"] + point["teacher_flop_discarded"]
    return f"{teacher / point['student_flop']:.2f} times"


# ---------------------------------------------------------------- self-play


def rounds(result: Result) -> str:
    """Every arm from its start to its last round."""
    rows = []
    for name, arm in played_to_end(result).items():
        last, most = arm["rounds"][-1], _highest(arm["before"]["passed"])
        rows.append(
            [
                name,
                " → ".join(f"{p['passed']['1']['value']:.3f}" for p in [arm["before"], *arm["rounds"]]),
                change(last["gained"]["1"]),
                change(last["gained"][most]),
                f"{arm['before']['solutions']['value']:.2f} → {last['solutions']['value']:.2f}",
                "–" if last["precision"] is None else percent(last["precision"]),
                percent(_inference(arm["gains"][len(arm["rounds"]) - 1])),
            ]
        )
    head = ("arm", "pass@1 by round", "pass@1 gained", "pass@16 gained", "different right answers")
    return table([*head, "right among kept, last round", "inference's share of FLOP"], rows) + _stopped(
        result
    )


def _inference(gain: Result) -> float:
    return float(gain["inference_flop"] / gain["flop"])


def wall(result: Result) -> str:
    """Synthetic replies against more epochs and against fresh problems, behind a data wall."""
    rows = []
    for name, arm in played_to_end(result).items():
        last, most = arm["rounds"][-1], _highest(arm["before"]["passed"])
        if arm["wall"]:
            rows.append([f"**{name}**: rounds", "", *_shares(last["passed"], most), "", ""])
        for each in arm["wall"]:
            passes = "–" if each["name"] == "fresh" else f"{each['passes']:.1f}"
            over = (change(each["synthetic_gained_over"][k]) for k in ("1", most))
            rows.append([each["name"], passes, *_shares(each["passed"], most), *over])
    head = ("arm", "passes over the pool", "pass@1", "pass@16", "rounds over it, pass@1", "pass@16")
    return table(head, rows)


def _shares(passed: Result, most: str) -> tuple[str, str]:
    return share(passed["1"]), share(passed[most])


def proposers(result: Result) -> str:
    rows = []
    for name, arm in played_to_end(result).items():
        for each in arm["rounds"]:
            posed = each["posing"]
            if posed is not None:
                counts = [posed[k] for k in ("problems", "malformed", "repeated", "held_out", "edge")]
                rows.append([f"{name}, {each['number']}", *(f"{count:,}" for count in counts)])
    head = ("round", "problems to learn from", "malformed", "repeated", "held out", "at the edge")
    return table(head, rows)


def selfplay_findings(result: Result) -> str:
    found = []
    for name, arm in played_to_end(result).items():
        last, most = arm["rounds"][-1], _highest(arm["before"]["passed"])
        found.append(
            f"- {name}: after {len(arm['rounds'])} rounds right {surely(last['gained']['1'])} often than at "
            f"the start ({change(last['gained']['1'])}); of {most} replies one is right "
            f"{surely(last['gained'][most])} often ({change(last['gained'][most])})."
        )
    return "\n".join(found)


# ---------------------------------------------------------------- reinforcement learning


def passes(result: Result) -> str:
    """pass@k at the start, after each arm, and after supervised steps."""
    arms = result["arms"]
    first = next(iter(arms.values()))["points"][0]
    ends = [(f"{name}, step {arm['points'][-1]['step']}", arm["points"][-1]) for name, arm in arms.items()]
    ks = list(first["passed"])
    taught = [("supervised", point) for point in sorted(result["supervised"], key=lambda p: p["flop"])]
    rows = [
        [
            name,
            compact(point["flop"]),
            *(share(point["passed"][k]) for k in ks),
            f"{point['length']:.1f}",
        ]
        for name, point in [("start", first), *ends, *taught]
    ]
    return table(["after", "FLOP", *(f"pass@{k}" for k in ks), "tokens a reply"], rows)


def figure(_: Result) -> str:
    drawn = RESULTS / "rl.svg"
    where = f"../benchmarks/results/{drawn.name}"
    return f"![pass@1 and pass@64 over compute]({where})" if drawn.is_file() else ""


def work(result: Result) -> str:
    """FLOP by part."""
    parts = ("rollouts", "old", "reference", "update", "evaluation")
    rows = [
        [
            name,
            *(compact(arm["work"][part]["flop"]) if part in arm["work"] else "–" for part in parts),
            f"{arm['counted']['rollouts']:.3f}, {arm['counted']['learning']:.3f}",
        ]
        for name, arm in result["arms"].items()
    ]
    head = ("arm", "rollouts", "old scores", "reference", "update", "evaluation (on no bill)", "counted")
    return table(head, rows)


def curves(result: Result) -> str:
    rows = []
    for name, arm in result["arms"].items():
        curve = arm["curve"]
        if curve is None:
            continue
        ends = [
            f"{curve[k]:.3g} [{curve[k + '_interval'][0]:.3g}, {curve[k + '_interval'][1]:.3g}]"
            if curve["settled"]
            else "not bounded"
            for k in ("asymptote", "middle", "steepness")
        ]
        rows.append([name, *ends, f"{curve['error']:.4f}"])
    head = ("arm", "asymptote", "middle, FLOP", "steepness", "misses by (rms)")
    return table(head, rows)


def rl_findings(result: Result) -> str:
    found = []
    for name, arm in result["arms"].items():
        most, points = _highest(arm["change"]), arm["points"]
        less = result["arms_less_supervised"][name]
        found += [
            f"- {name}: pass@1 {change(arm['change']['1'])}, pass@{most} {change(arm['change'][most])} after "
            f"{points[-1]['step']} steps; a reply went from {points[0]['length']:.1f} to "
            f"{points[-1]['length']:.1f} tokens, entropy from {arm['entropy'][0]:.2f} to "
            f"{arm['entropy'][1]:.2f}.",
            f"- {name} less supervised steps of equal compute: pass@1 {change(less['1'])}, pass@{most} "
            f"{change(less[most])}.",
            f"- {name}, in a word: {_taught_or_sharpened(arm['change'], most)}",
        ]
    return "\n".join(found)


def _taught_or_sharpened(gained: Result, most: str) -> str:
    if gained["1"]["low"] <= 0:
        return "it did not surely make the model right more often."
    what = {
        "more": "it taught something new: problems are within reach that were not before.",
        "less": "it sharpened: the model does more of what it could, and can do less than before.",
    }
    return what.get(surely(gained[most]), "it sharpened: what the model could do did not surely change.")


def larger(result: Result) -> str:
    """One run of the command itself: before, after, what it took and where its curve tends."""
    first, last = result["evaluations"][0], result["evaluations"][-1]
    rows = [
        [f"pass@{k}", share(first["passed"][k]), share(last["passed"][k]), change(gained)]
        for k, gained in result["change"].items()
    ]
    spent = " and ".join(f"{compact(work['flop'])} of {part}" for part, work in _billed(result))
    curve = result["curve"]
    low, high = curve["asymptote_interval"]
    tends = f"tends to {curve['asymptote']:.3f} [{low:.3f}, {high:.3f}]"
    if not curve["settled"]:
        tends = "is not bounded by its points"
    told = f"It took {spent} in FLOP. The compute curve of pass@1 {tends}."
    return table(("", "before", f"after {last['step']} steps", "change"), rows) + "\n\n" + told


def _billed(result: Result) -> Iterable[tuple[str, Result]]:
    return ((part, work) for part, work in result["work"].items() if part != "evaluation")


def transcript(result: Result) -> str:
    """What was typed and what came."""
    lines = "\n\n".join(f"$ {each['command']}\n{each['output'].strip()}" for each in result["told"])
    return f"```text\n{lines}\n```"


# ---------------------------------------------------------------- by stage


def stages(_: Result) -> str:
    """What every stage gained on its own task and on others, and per FLOP, from all campaigns that are
    committed and began with the same checkpoint on the same task."""
    rows = []
    for source, found in ((name, read(name)) for name in ("pretrain", "distill", "selfplay", "rl")):
        for label, began, task, gains in _gains(source, found or {}):
            rows += [[label.format(gain["name"]), *_per_flop(gain), began, task] for gain in gains]
    wanted = rows[0][-2:] if rows else []
    head = ("stage", "FLOP", "of it inference", "narrow", "broad", "narrow per TFLOP", "broad per TFLOP")
    return table(head, [row[:-2] for row in rows if row[-2:] == wanted])


def _gains(source: str, found: Result) -> Iterable[tuple[str, str, str, Sequence[Result]]]:
    if source in ("pretrain", "rl"):
        if found:
            gains = sorted(found["gains"], key=lambda gain: (gain["name"] == "supervised", gain["flop"]))
            yield f"{source}: {{}}", found["began_with"], found["task"], gains
        return
    for name, arm in played_to_end(found).items():
        # Of each kind the last: the most rationales, the last round. A single pass is another question.
        ends = {re.sub(r"\W\d+$", "", gain["name"]): gain for gain in arm["gains"]}
        ends.pop("once", None)
        yield f"{source}, {name}: {{}}", arm["began_with"], arm["task"], list(ends.values())


def _per_flop(gain: Result) -> list[str]:
    tera = gain["flop"] / 1e12
    each = [{k: gain[kind][k] / tera for k in ("value", "low", "high")} for kind in ("narrow", "broad")]
    inference = percent(_inference(gain))
    return [
        compact(gain["flop"]),
        inference,
        change(gain["narrow"]),
        change(gain["broad"]),
        *map(change, each),
    ]


# ---------------------------------------------------------------- the pages


def distillation_page() -> str:
    return page(
        "distillation",
        {
            "countdown": ("distill", lambda r: students(r, ("verifier", "no filter"))),
            "chains": ("distill", lambda r: students(r, ("chains", "chains, other seed"))),
            "findings": ("distill", distillation_findings),
        },
    )


def selfplay_page() -> str:
    return page(
        "self-play",
        {
            "rounds": ("selfplay", rounds),
            "wall": ("selfplay", wall),
            "proposers": ("selfplay", proposers),
            "findings": ("selfplay", selfplay_findings),
        },
    )


def rl_page() -> str:
    return page(
        "reinforcement-learning",
        {
            "figure": ("rl", figure),
            "passes": ("rl", passes),
            "work": ("rl", work),
            "curves": ("rl", curves),
            "findings": ("rl", rl_findings),
            "stages": ("rl", stages),
            "larger": ("ladder/rl/154k-steps-random-0-4/rl", larger),
            "real": ("real_model", transcript),
        },
    )
