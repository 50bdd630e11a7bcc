"""Does reinforcement learning teach something new, or only sharpen? Beside supervised steps at equal compute.

From one weak checkpoint of the ladder two ways go on: GRPO with the task's verifier for a reward, with and
without a penalty on the divergence; and more supervised training on fresh solved problems of the same task,
each point annealed. All are scored on the same held-out problems with the same number of samples, and the
ends also on tasks that neither was trained on. Compute is everything that comes after the checkpoint:
rollouts and updates, or supervised steps; evaluations are on neither side. An interrupted run goes on. Writes
benchmarks/results/rl.json.

OMP_NUM_THREADS=1 python -m benchmarks.rl
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.gains import gained, score_on_all
from benchmarks.training_campaigns import COUNTDOWN, LADDER, RESULTS, START

from ponder.data import table
from ponder.ledger import Ledger
from ponder.tasks.chars import Example, examples
from ponder.train.held_out import Score, Verifier, changes, estimates
from ponder.train.learning import Scored
from ponder.train.models import is_checkpoint, new_model, open_checkpoint, read_training, write_checkpoint
from ponder.train.rl import RlSettings, train_rl
from ponder.train.rl_result import RlResult
from ponder.train.scoring import score_folder
from ponder.train.sides import sides
from ponder.train.supervised import Schedule, fit

RATE = 1e-3
ARMS: dict[str, dict[str, Any]] = {
    "GRPO": {},
    "GRPO, beta 0.04": {"beta": 0.04},
    "GRPO, a third of the rate": {"learning_rate": RATE / 3},
}
SHARES = (0.25, 0.5, 1.0)
SEED = 1
REHEARSED: dict[str, Any] = {
    "steps": 2,
    "group": 4,
    "prompts": 4,
    "eval_every": 1,
    "eval_problems": 4,
    "eval_samples": 4,
}
BATCH = 2048
_PROBED = 20_000  # tokens that tell what a token costs


@dataclass(frozen=True)
class Campaign:
    """The checkpoint that all begin with, where theirs go, and on how many problems the ends are scored on
    all tasks, with how many replies each."""

    start: Path
    place: Path
    settings: dict[str, Any]
    problems: int
    draws: int

    def score(self, folder: Path) -> Scored:
        return score_on_all(folder, COUNTDOWN, problems=self.problems, draws=self.draws, processes=1)

    def of(self, changed: dict[str, Any]) -> RlSettings:
        return RlSettings(self.start, COUNTDOWN, seed=SEED, **{**self.settings, **changed})


def stream(seed: int) -> Any:
    """Supervised texts of the side to learn from."""

    def texts(start: int) -> Iterator[Example]:
        return examples([(COUNTDOWN, "steps", 1.0)], recipe="random", seed=seed, start=start)

    return texts


def supervised(campaign: Campaign, flop: float) -> tuple[Score, Path, dict[str, Any]]:
    """The start after so many FLOP of supervised steps, annealed; where it lies, and what it took."""
    start, settings = campaign.start, campaign.of({})
    rate = table("ladder")["sizes"][read_training(start)["size"]]["learning_rate"] / 2
    opened = open_checkpoint(start)
    # FLOP a token are the same for every batch but for padding: a short fit tells them.
    probe = fit(new_model(opened.shape, 0), stream(9), Schedule(_PROBED, rate, batch=BATCH)).work
    tokens = int(flop / probe.flop * probe.tokens)
    schedule = Schedule(tokens, rate, decay=tokens // 2, batch=BATCH)
    folder = campaign.place / f"supervised-{tokens}"
    done = fit(opened.model, stream(7), schedule, state=folder.with_suffix(".safetensors"))
    if not is_checkpoint(folder):
        write_checkpoint(folder, opened.model, {"name": folder.name}, dtype="float32")
    both = sides(COUNTDOWN, learned=1, held_out=settings.eval_problems, seed=settings.seed)
    verifier = Verifier(both.grader)
    score, _ = score_folder(
        folder,
        both.held_out,
        verifier,
        samples=settings.eval_samples,
        temperature=settings.temperature,
        max_tokens=both.held_out[0].question.max_tokens,
        seed=settings.seed,
        device="cpu",
    )
    verifier.close()
    return score, folder, {"flop": done.work.flop, "tokens": done.work.tokens, "seconds": done.work.seconds}


def told(score: Score) -> dict[str, Any]:
    passed = {str(k): asdict(estimate) for k, estimate in estimates(score, seed=SEED).items()}
    return {"passed": passed, "length": score.length}


def differences(before: Score, after: Score) -> dict[str, Any]:
    return {str(k): asdict(estimate) for k, estimate in changes(before, after, seed=SEED).items()}


def arm(result: RlResult) -> dict[str, Any]:
    notes = result.notes
    return {
        "points": [{"step": e.step, "flop": e.flop, **told(e.score)} for e in result.evaluations],
        "change": {str(k): asdict(estimate) for k, estimate in result.change.items()},
        "curve": None if result.curve is None else result.curve.to_json(),
        "work": {part: work.to_json() for part, work in result.work.items()},
        "counted": dict(result.counted),
        "entropy": [notes[0]["entropy"], notes[-1]["entropy"]],
    }


def show(name: str, flop: float, score: Score) -> None:
    passed = estimates(score, seed=SEED)
    cells = "  ".join(f"pass@{k} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for k, e in passed.items())
    print(f"{name:24} {flop:9.3g} FLOP  {cells}  {score.length:.1f} tokens", flush=True)


def learned(campaign: Campaign, changed: dict[str, Any]) -> RlResult:
    with Ledger.open(campaign.place / "ledger.sqlite", write=True) as ledger:
        return train_rl(
            campaign.of(changed), ledger=ledger, out=lambda run: campaign.place / run, device="cpu"
        )


def compare(campaign: Campaign) -> Iterator[dict[str, Any]]:
    """What came of every arm so far, and of supervised steps at the compute of each: of the first also at
    shares of it."""
    before = campaign.score(campaign.start)
    found: dict[str, Any] = {"arms": {}, "supervised": [], "gains": [], "arms_less_supervised": {}}
    for name, changed in ARMS.items():
        result = learned(campaign, changed)
        for each in result.evaluations:
            show(f"{name}, step {each.step}", each.flop, each.score)
        last, drawn = result.evaluations[-1], result.work["rollouts"].flop
        found["arms"][name] = arm(result)
        gains = {"name": name, "flop": last.flop, "inference_flop": drawn}
        found["gains"].append({**gains, **gained(before, campaign.score(result.out))})
        for share in (1.0,) if found["supervised"] else SHARES:
            score, folder, took = supervised(campaign, share * last.flop)
            show("supervised", took["flop"], score)
            found["supervised"].append(took | told(score))
            gains = {"name": "supervised", "flop": took["flop"], "inference_flop": 0.0}
            found["gains"].append({**gains, **gained(before, campaign.score(folder))})
        found["arms_less_supervised"][name] = differences(score, last.score)
        yield found


def options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ladder", type=Path, default=LADDER, help="folder of the ladder's checkpoints")
    parser.add_argument("--start", default=START, help="the weak checkpoint within the ladder")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.training"), help="for checkpoints")
    parser.add_argument(
        "--rehearse", action="store_true", help="everything small, the result beside the checkpoints"
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    chosen = options(arguments)
    place = chosen.place / "rl"
    place.mkdir(parents=True, exist_ok=True)
    settings = {"steps": chosen.steps, "learning_rate": RATE, "eval_problems": 300}
    campaign = Campaign(chosen.ladder / chosen.start, place, settings, 300, 16)
    if chosen.rehearse:
        campaign = Campaign(campaign.start, place, settings | REHEARSED, 4, 4)
    about = {"task": COUNTDOWN, "began_with": chosen.start, "settings": campaign.settings}
    result = (place if chosen.rehearse else RESULTS) / "rl.json"
    for found in compare(campaign):
        result.write_text(json.dumps(about | found, indent=1, allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
