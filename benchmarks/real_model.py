"""A real model, as a new user would: SmolLM2-135M as a Hugging Face folder, three steps of GRPO with adapters
on Countdown, what that took, and a question to the result. Shows that it works, not that it learns: three
steps teach nothing. Writes what was typed and what came to benchmarks/results/real_model.json.

OMP_NUM_THREADS=1 python -m benchmarks.real_model      minutes; `ponder models pull smollm2` first
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hugging_face_folder import EMBEDDED, convert
from benchmarks.training_campaigns import RESULTS

LEDGER = "--ledger real.sqlite"
LEARN = "ponder train rl --model smollm2 --task countdown --lora --out smollm2-rl --run smollm2-rl"
USUAL = "--steps 3 --prompts 2 --group 8 --eval-every 3 --eval-problems 8 --eval-samples 4"
REHEARSED = "--steps 1 --prompts 1 --group 2 --eval-every 1 --eval-problems 1 --eval-samples 2 --max-tokens 8"
AFTER = (
    "ponder train stages smollm2-rl",
    'ponder ask --model smollm2-rl --samples 4 --max-tokens 32 "What is 7 + 5?"',
)


def said(command: str, place: Path) -> str:
    """What a command prints, errors too. Raises SystemExit where it fails."""
    words = shlex.split(f"{command} {LEDGER}")[1:]
    done = subprocess.run(
        [sys.executable, "-m", "ponder", *words],
        cwd=place,
        env=os.environ | {"COLUMNS": "100"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    print(f"$ {command}\n{done.stdout}", flush=True)
    if done.returncode:
        raise SystemExit(f"{command}: exit code {done.returncode}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--gguf", type=Path, default=EMBEDDED, help="default: what `models pull smollm2` got")
    parser.add_argument("--place", type=Path, default=Path("benchmarks/.training/real"), help="for models")
    parser.add_argument("--rehearse", action="store_true", help="one tiny step, the result beside the models")
    chosen = parser.parse_args(arguments)
    chosen.place.mkdir(parents=True, exist_ok=True)
    if not (chosen.place / "smollm2" / "tokenizer.json").is_file():
        convert(chosen.gguf, chosen.place / "smollm2")
    learn = f"{LEARN} {REHEARSED if chosen.rehearse else USUAL}"
    told = [{"command": each, "output": said(each, chosen.place)} for each in (learn, *AFTER)]
    result = (chosen.place if chosen.rehearse else RESULTS) / "real_model.json"
    result.write_text(json.dumps({"told": told}, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
