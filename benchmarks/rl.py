"""Does reinforcement learning teach something new, or only sharpen? Beside supervised steps at equal compute.

From one checkpoint two ways go on: GRPO with the task's verifier for a reward, with and without a penalty on
the divergence; and more supervised training on fresh problems of the same task, each point annealed. All are
scored on the same held-out problems with the same number of samples. Compute is everything that comes after
the checkpoint: rollouts and updates, or supervised steps; evaluations are on neither side. Without --from a
small model is trained to start with. An interrupted run goes on. Writes benchmarks/results/rl.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ponder.core import Shape
from ponder.ledger import Ledger
from ponder.tasks.chars import Example, examples
from ponder.train.held_out import Score, Verifier, changes, estimates, score_folder
from ponder.train.models import VOCABULARY, new_model, open_checkpoint, write_checkpoint
from ponder.train.rl import RlSettings, train_rl
from ponder.train.rl_result import RlResult
from ponder.train.sides import sides
from ponder.train.supervised import Schedule, fit

TASK = "char_countdown:numbers=4"
SHAPE = Shape(layers=2, d_model=32, heads=2, kv_heads=2, d_head=16, d_ff=96, vocab=len(VOCABULARY), tied=True)
RATE = 8e-3
RESULT = Path(__file__).parent / "results" / "rl.json"
ARMS: dict[str, dict[str, Any]] = {
    "GRPO": {},
    "GRPO, beta 0.04": {"beta": 0.04},
}
SHARES = (0.25, 0.5, 1.0)
SEED = 1


def stream(task: str, seed: int) -> Any:
    """Supervised texts of the side to learn from."""

    def texts(start: int) -> Iterator[Example]:
        return examples([(task, "steps", 1.0)], recipe="random", seed=seed, start=start)

    return texts


def start_of(place: Path, task: str, tokens: int) -> Path:
    """A small model with an annealed end, trained here."""
    folder = place / f"start-{tokens}"
    if not folder.exists():
        model = new_model(SHAPE, SEED)
        schedule = Schedule(tokens, RATE, warm_up=100_000, decay=tokens // 5, batch=4096)
        done = fit(model, stream(task, 0), schedule, state=place / f"start-{tokens}.safetensors")
        stage = {"stage": "pretrain", "tokens": done.work.tokens, "flop": done.work.flop}
        write_checkpoint(folder, model, {"name": folder.name, "stages": [stage]}, dtype="float32")
    return folder


def supervised(start: Path, place: Path, flop: float, settings: RlSettings) -> tuple[Score, dict[str, Any]]:
    """The start after so many FLOP of supervised steps, annealed, and what they took."""
    opened = open_checkpoint(start)
    # FLOP a token are the same for every batch but for padding: a short fit tells them.
    probe = fit(new_model(opened.shape, 0), stream(settings.task, 9), Schedule(20_000, RATE, batch=4096)).work
    tokens = int(flop / probe.flop * probe.tokens)
    schedule = Schedule(tokens, RATE / 2, decay=tokens // 2, batch=4096)
    state = place / f"{start.name}-supervised-{tokens}.safetensors"
    done = fit(opened.model, stream(settings.task, 7), schedule, state=state)
    folder = place / f"{start.name}-supervised-{tokens}"
    write_checkpoint(folder, opened.model, {"name": folder.name}, dtype="float32")
    both = sides(settings.task, learned=1, held_out=settings.eval_problems, seed=settings.seed)
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
    return score, {"flop": done.work.flop, "tokens": done.work.tokens, "seconds": done.work.seconds}


def told(score: Score) -> dict[str, Any]:
    passed = {str(k): asdict(estimate) for k, estimate in estimates(score, seed=SEED).items()}
    return {"passed": passed, "length": score.length}


def arm(result: RlResult) -> dict[str, Any]:
    return {
        "points": [{"step": e.step, "flop": e.flop, **told(e.score)} for e in result.evaluations],
        "change": {str(k): asdict(estimate) for k, estimate in result.change.items()},
        "curve": None if result.curve is None else result.curve.to_json(),
        "work": {part: work.to_json() for part, work in result.work.items()},
        "counted": dict(result.counted),
        "entropy": [result.notes[0]["entropy"], result.notes[-1]["entropy"]],
    }


def show(name: str, flop: float, score: Score) -> None:
    passed = estimates(score, seed=SEED)
    cells = "  ".join(f"pass@{k} {e.value:.3f} [{e.low:.3f}, {e.high:.3f}]" for k, e in passed.items())
    print(f"{name:24} {flop:9.3g} FLOP  {cells}  {score.length:.1f} tokens", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="start", type=Path, help="a checkpoint; default: train one")
    parser.add_argument("--task", default=TASK)
    parser.add_argument("--tokens", type=int, default=12_000_000, help="that the start is trained on")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--problems", type=int, default=300)
    parser.add_argument(
        "--place", type=Path, default=Path("benchmarks/.rl"), help="for checkpoints and ledger"
    )
    chosen = parser.parse_args()
    chosen.place.mkdir(parents=True, exist_ok=True)
    start = chosen.start or start_of(chosen.place, chosen.task, chosen.tokens)
    found: dict[str, Any] = {"task": chosen.task, "start": open_checkpoint(start).training, "arms": {}}
    scores: dict[str, Score] = {}
    for name, changed in ARMS.items():
        settings = RlSettings(
            start,
            chosen.task,
            chosen.steps,
            learning_rate=chosen.lr,
            eval_problems=chosen.problems,
            seed=SEED,
            **changed,
        )
        with Ledger.open(chosen.place / "ledger.sqlite", write=True) as ledger:
            result = train_rl(settings, ledger=ledger, out=lambda run: chosen.place / run, device="cpu")
        for each in result.evaluations:
            show(f"{name}, step {each.step}", each.flop, each.score)
        found["arms"][name] = arm(result)
        scores[name], most = result.evaluations[-1].score, result.evaluations[-1].flop
    found["supervised"] = []
    for share in SHARES:
        score, took = supervised(start, chosen.place, share * most, settings)
        show("supervised", took["flop"], score)
        found["supervised"].append(took | told(score))
    # The last supervised point took what the last arm took.
    found["arms_less_supervised"] = {
        name: {str(k): asdict(e) for k, e in changes(score, last, seed=SEED).items()}
        for name, last in scores.items()
    }
    RESULT.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
