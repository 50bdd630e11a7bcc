"""Distillation and self-play on the ladder's checkpoints: what inference turned into weights buys.

`distill`: a strong checkpoint teaches a small fresh student, with the verifier's filter and without it.
`selfplay`: from a weak checkpoint four rounds with the verifier, without it, with a proposer, and behind a
wall of few solved problems. Each arm is a run on the ledger beside its checkpoints, and goes on where it was
interrupted. Writes benchmarks/results/distill.json and selfplay.json: the points of each arm with 90 %
intervals from resampling problems, FLOP of generating and of learning apart.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import platformdirs

from ponder.ledger import Ledger
from ponder.train.distill import DistillSettings, distill
from ponder.train.selfplay import SelfplaySettings, selfplay

LADDER = Path(platformdirs.user_data_dir("ponder")) / "ladder"
TEACHER, STUDENT = "448k-steps-random-0/6", "28k"
START = "154k-steps-random-0/3"
CHAINS, COUNTDOWN = "char_chain:operations=6", "char_countdown:numbers=4"
RESULTS = Path(__file__).parent / "results"

DISTILLED: dict[str, dict[str, Any]] = {"filtered": {}, "unfiltered": {"filter": "none"}}
PLAYED: dict[str, dict[str, Any]] = {
    "verifier": {},
    "no verifier": {"labels": "majority"},
    "own answers": {"labels": "own"},
    "kept weights": {"keep": True},
    "proposer": {"proposer": True},
    "wall": {"pool": 500},
    "wall, proposer": {"pool": 500, "proposer": True},
}
# Each problem's own counts, which a figure does not need, and where the checkpoint was on this machine.
DETAIL = ("own", "broad", "scores", "checkpoint", "start")


def said(line: str) -> None:
    print(line, flush=True)


def short(value: Any) -> Any:
    """A result without what stands for each problem."""
    if isinstance(value, dict):
        return {k: short(v) for k, v in value.items() if k not in DETAIL}
    return [short(each) for each in value] if isinstance(value, list) else value


def arms(
    verb: str, begun_with: str, names: dict[str, dict[str, Any]], play: Callable[..., Any], place: Path
) -> None:
    """Run every arm and write what came of them. `begun_with` names the checkpoint within the ladder."""
    found: dict[str, Any] = {}
    for name, changed in names.items():
        said(f"{verb}, {name}:")
        run = f"{verb}-{name.replace(', ', '-').replace(' ', '-')}"
        with Ledger.open(place / "ledger.sqlite", write=True) as ledger:
            result = play(changed, ledger=ledger, out=place / run, run=run, tell=said).to_json()
        found[name] = short(result) | {"folder": run, "checkpoint": begun_with}
        (RESULTS / f"{verb}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["distill", "selfplay"])
    parser.add_argument("--ladder", type=Path, default=LADDER, help="folder of the ladder's checkpoints")
    parser.add_argument("--teacher", default=TEACHER, help="the teacher within the ladder")
    parser.add_argument("--student", default=STUDENT, help="the student's size")
    parser.add_argument("--start", default=START, help="where self-play begins, within the ladder")
    parser.add_argument("--problems", type=int, help="problems to draw for; default: the verb's own")
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.training"), help="for checkpoints")
    chosen = parser.parse_args()
    chosen.place.mkdir(parents=True, exist_ok=True)
    few = {} if chosen.problems is None else {"problems": chosen.problems}

    def distilled(changed: dict[str, Any], **where: Any) -> Any:
        teacher = chosen.ladder / chosen.teacher
        return distill(DistillSettings(teacher, chosen.student, task=CHAINS, **few, **changed), **where)

    def played(changed: dict[str, Any], **where: Any) -> Any:
        start = chosen.ladder / chosen.start
        return selfplay(SelfplaySettings(start, task=COUNTDOWN, **few, **changed), **where)

    if chosen.verb == "distill":
        arms("distill", chosen.teacher, DISTILLED, distilled, chosen.place)
    else:
        arms("selfplay", chosen.start, PLAYED, played, chosen.place)


if __name__ == "__main__":
    main()
