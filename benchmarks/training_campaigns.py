"""Distillation and self-play on the ladder's checkpoints: what inference turned into weights buys.

`distill`: a strong checkpoint teaches a weak one Countdown, with the verifier's filter and without it, and a
fresh student chained arithmetic by a teacher that fails often, where the answer can be learned without its
steps (a Countdown answer is its steps). `selfplay`: the same weak checkpoint plays with the verifier, without
it, with a proposer, and behind a wall of few solved problems. `pretrain`: what the next checkpoints of its
own trunk gained, for comparison.

Each arm is a run on a ledger of its own verb, and goes on where it was interrupted; several verbs may run
side by side. Writes benchmarks/results/VERB.json: the points of each arm with 90 % intervals from resampling
problems, FLOP of generating and of learning apart, and gains on the task itself and on others apart.

OMP_NUM_THREADS=1 python -m benchmarks.training_campaigns VERB
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.gains import gained, score_on_all

from ponder.errors import InputError
from ponder.ledger import Ledger
from ponder.train.distill import Distilled, DistillSettings, distill
from ponder.train.models import read_training
from ponder.train.selfplay import Selfplayed, SelfplaySettings, selfplay

TEACHER, START = "448k-steps-random-0/6", "28k-steps-random-0/5"
FAILING, FRESH = "28k-steps-random-0/4", "28k"
CHAINS, COUNTDOWN = "char_chain:operations=6", "char_countdown:numbers=3"
RESULTS = Path(__file__).parent / "results"
LADDER = RESULTS / "ladder" / "checkpoints"
RUNGS, ROUNDS = 6, 5

_EVALUATED = {"eval_problems": 300, "eval_draws": 16}
_WEAK: dict[str, Any] = {"task": COUNTDOWN, "problems": 2000, "tokens": 2_000_000}
_NEW: dict[str, Any] = {
    "task": CHAINS,
    "teacher": FAILING,
    "student": FRESH,
    "problems": 4000,
    "tokens": 4_000_000,
}
DISTILLED: dict[str, dict[str, Any]] = {
    "verifier": _WEAK,
    "no filter": {**_WEAK, "filter": "none"},
    "chains": _NEW,
    "chains, other seed": {**_NEW, "seed": 1},
}
PLAYED: dict[str, dict[str, Any]] = {
    "verifier": {},
    "no verifier": {"labels": "majority"},
    "own answers": {"labels": "own"},
    "kept weights": {"keep": True},
    "no verifier, kept weights": {"labels": "majority", "keep": True},
    "proposer": {"proposer": True},
    "wall": {"pool": 500},
    "wall, proposer": {"pool": 500, "proposer": True},
}
REHEARSED: dict[str, dict[str, Any]] = {
    "distill": {
        "problems": 16,
        "rationales": (1, 4),
        "tokens": 2000,
        "filter": "none",
        "eval_problems": 4,
        "eval_draws": 4,
    },
    "selfplay": {"problems": 200, "rounds": 1, "labels": "own", "eval_problems": 4, "eval_draws": 4},
    "pretrain": {"problems": 4, "draws": 4},
}
# Each problem's own counts, which a figure does not need, and where the checkpoints were on this machine.
DETAIL = ("own", "broad", "scores", "checkpoint", "start", "student", "folder")

Row = dict[str, Any]


def said(line: str) -> None:
    print(line, flush=True)


def short(value: Any) -> Any:
    """A result without what stands for each problem."""
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items() if k not in DETAIL}
    return [short(each) for each in value] if isinstance(value, list) else value


def write(path: Path, found: dict[str, Any]) -> None:
    path.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")


def arms(
    settings: dict[str, dict[str, Any]],
    run_arm: Callable[..., tuple[dict[str, Any], list[Row]]],
    place: Path,
    result: Path,
    processes: int,
) -> None:
    """Run every arm and write what came of them so far; what is there of other arms is kept."""
    found: dict[str, Any] = json.loads(result.read_text("utf-8")) if result.exists() else {}
    for name, values in settings.items():
        said(f"{result.stem}, {name}:")
        run = f"{result.stem}-{name.replace(', ', '-').replace(' ', '-')}"
        with Ledger.open(place / "ledger.sqlite", write=True) as ledger:
            where = {"ledger": ledger, "out": place / run, "run": run, "processes": processes}
            try:
                told, gains = run_arm(values, device="cpu", tell=said, **where)
                found[name] = {**short(told), "settings": values, "gains": gains}
            except InputError as nothing:  # such as a round that leaves nothing to learn from
                said(str(nothing))
                found[name] = {"settings": values, "stopped": str(nothing)}
        write(result, found)


def distilled(values: dict[str, Any], *, ladder: Path, **where: Any) -> tuple[dict[str, Any], list[Row]]:
    """One arm: a student from each number of rationales. It is a checkpoint of the ladder's, or fresh."""
    student = ladder / values["student"]
    begun = {**values, "teacher": ladder / values["teacher"]}
    if student.is_dir():
        begun["student"] = str(student)
    result: Distilled = distill(DistillSettings(**begun), **where)
    before = result.students[0]
    gains = [
        {
            "name": each.name,
            "flop": each.flop + sum(each.teacher_flop),
            "inference_flop": sum(each.teacher_flop),
            **gained(before.scored, each.scored),
        }
        for each in result.students[1:]
    ]
    return result.to_json() | {"began_with": values["student"]}, gains


def played(
    values: dict[str, Any], *, ladder: Path, start: str, **where: Any
) -> tuple[dict[str, Any], list[Row]]:
    """One arm: its rounds, each with all FLOP since the start."""
    settings = SelfplaySettings(ladder / start, task=COUNTDOWN, **values)
    result: Selfplayed = selfplay(settings, **where)
    flop = accumulate(each.flop for each in result.rounds)
    inference = accumulate(each.flop_inference for each in result.rounds)
    gains = [
        {
            "name": f"round {each.number}",
            "flop": total,
            "inference_flop": drawn,
            **gained(result.first, each.scored),
        }
        for each, total, drawn in zip(result.rounds, flop, inference, strict=True)
    ]
    gains += [
        {"name": each.name, "flop": each.flop, "inference_flop": 0.0, **gained(result.first, each.scored)}
        for each in result.wall
    ]
    return result.to_json() | {"began_with": start}, gains


def pretrained(ladder: Path, start: str, problems: int, draws: int, processes: int) -> Row:
    """What the checkpoints after `start` gained over it; their FLOP are those of the whole training less
    those of the start's."""
    trunk, _, number = start.rpartition("/")
    score = partial(score_on_all, task=COUNTDOWN, problems=problems, draws=draws, processes=processes)
    before, gains = score(ladder / start), []
    for rung in range(int(number) + 1, RUNGS + 1):
        folder = ladder / trunk / str(rung)
        gains.append(
            {
                "name": f"{trunk}/{rung}",
                "flop": _flop(folder) - _flop(ladder / start),
                "inference_flop": 0.0,
                **gained(before, score(folder)),
            }
        )
        said(f"{folder.name}: {gains[-1]['narrow']}")
    return {"began_with": start, "task": COUNTDOWN, "problems": problems, "draws": draws, "gains": gains}


def _flop(folder: Path) -> float:
    return float(sum(stage["flop"] for stage in read_training(folder)["stages"]))


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("verb", choices=["distill", "selfplay", "pretrain"])
    parser.add_argument("--ladder", type=Path, default=LADDER, help="folder of the ladder's checkpoints")
    parser.add_argument("--teacher", default=TEACHER, help="the teacher within the ladder")
    parser.add_argument("--start", default=START, help="the weak checkpoint within the ladder")
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.training"), help="for checkpoints")
    parser.add_argument("--only", action="append", help="an arm; may be given again (default: all)")
    parser.add_argument("--processes", type=int, default=1, help="that draw")
    parser.add_argument(
        "--rehearse", action="store_true", help="everything small, the result beside the checkpoints"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    place = chosen.place / chosen.verb
    place.mkdir(parents=True, exist_ok=True)
    results = place if chosen.rehearse else RESULTS
    few = REHEARSED[chosen.verb] if chosen.rehearse else {}
    only = chosen.only or [*DISTILLED, *PLAYED]
    if chosen.verb == "pretrain":
        scoring = {"problems": 300, "draws": 16, **few}
        found = pretrained(chosen.ladder, chosen.start, processes=chosen.processes, **scoring)
        write(results / "pretrain.json", found)
    elif chosen.verb == "distill":
        usual = {"teacher": chosen.teacher, "student": chosen.start, **_EVALUATED}
        settings = {name: {**usual, **each, **few} for name, each in DISTILLED.items() if name in only}
        run_arm = partial(distilled, ladder=chosen.ladder)
        arms(settings, run_arm, place, results / "distill.json", chosen.processes)
    else:
        usual = {**_EVALUATED, "rounds": ROUNDS}
        settings = {name: {**usual, **each, **few} for name, each in PLAYED.items() if name in only}
        run_arm = partial(played, ladder=chosen.ladder, start=chosen.start)
        arms(settings, run_arm, place, results / "selfplay.json", chosen.processes)


if __name__ == "__main__":
    main()
