"""Write the logs in this folder anew: Inspect and the LM Evaluation Harness ask the embedded model.

    python -m venv inspect && inspect/bin/pip install inspect-ai==0.3.285 openai
    python -m venv lm-eval && lm-eval/bin/pip install 'lm-eval[api]==0.4.13'
    python -m tests.bank.logs.make inspect/bin lm-eval/bin

A server in OpenAI's form stands before the embedded engine; both tools are its clients. Needs the weights of
smollm2 (`ponder models pull smollm2`). Takes some minutes.
"""

from __future__ import annotations

import asyncio
import json
import lzma
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.peers.wire import Incoming, Refused, Server

from ponder.config import load
from ponder.core import Engine, Message, Prompt, Request, Sampling
from ponder.engines import open_engine

HERE = Path(__file__).parent
MODEL = "smollm2"
TEMPERATURE, MAX_TOKENS, EPOCHS, SEEDS = 0.8, 24, 4, (1, 2)
SUMS = ((2, 2), (3, 4), (5, 5), (6, 3), (10, 7), (12, 9), (25, 14), (48, 37))

INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import json_dataset
from inspect_ai.model import GenerateConfig
from inspect_ai.scorer import match
from inspect_ai.solver import generate

@task
def sums():
    return Task(
        dataset=json_dataset("sums.jsonl"),
        solver=generate(),
        scorer=match(numeric=True),
        epochs={epochs},
        config=GenerateConfig(temperature={temperature}, max_tokens={max_tokens}),
    )
"""

LM_EVAL_TASK = """
task: sums
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs: {{until: [], do_sample: true, temperature: {temperature}, max_gen_toks: {max_tokens}}}
filter_list:
  - name: last-number
    filter:
      - {{function: regex, regex_pattern: "([0-9]+)", group_select: -1}}
      - {{function: take_first}}
  - name: first-number
    filter:
      - {{function: regex, regex_pattern: "([0-9]+)", group_select: 0}}
      - {{function: take_first}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


class Served:
    """The embedded engine as chat completions; each request has its own seed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seed = 0

    async def answer(self, incoming: Incoming) -> dict[str, Any]:
        if not incoming.path.endswith("/chat/completions"):
            raise Refused(404, f"there is no {incoming.path}")
        body = incoming.body
        self._seed += 1
        request = Request(
            Prompt(tuple(Message(m["role"], m["content"]) for m in body["messages"])),
            max_tokens=body.get("max_tokens") or body.get("max_completion_tokens") or MAX_TOKENS,
            sampling=Sampling(body.get("temperature", TEMPERATURE)),
            seed=self._seed,
        )
        made = await self._engine.start(request).result()
        if made.error is not None:
            raise Refused(500, str(made.error))
        (output,), usage = made.outputs, made.attempts[-1].usage
        prompt, tokens = usage.prompt_tokens or 0, output.tokens or 0
        return {
            "id": f"chatcmpl-{self._seed}",
            "object": "chat.completion",
            "created": 0,
            "model": MODEL,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": output.finish,
                    "message": {"role": "assistant", "content": output.text},
                }
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": tokens,
                "total_tokens": prompt + tokens,
            },
        }


def _rows(field: str) -> str:
    asked = [(f"What is {a} + {b}? Answer with the number alone.", str(a + b)) for a, b in SUMS]
    return "".join(json.dumps({field: question, "target": key}) + "\n" for question, key in asked)


async def _run(command: list[str], folder: Path, **variables: str) -> None:
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=os.environ | variables)
    if await process.wait():
        raise SystemExit(f"{command[0]} ended with {process.returncode}")


async def _inspect(tools: Path, address: str, folder: Path) -> None:
    (folder / "sums.jsonl").write_text(_rows("input"), "utf-8")
    task = INSPECT_TASK.format(epochs=EPOCHS, temperature=TEMPERATURE, max_tokens=MAX_TOKENS)
    (folder / "sums.py").write_text(task, "utf-8")
    command = [str(tools / "inspect"), "eval", "sums.py", "--model", f"openai-api/embedded/{MODEL}"]
    options = ["--display", "none", "--log-dir", "logs", "--max-connections", "4"]
    variables = {"EMBEDDED_BASE_URL": f"{address}/v1", "EMBEDDED_API_KEY": "none"}
    await _run([*command, *options], folder, **variables)
    (log,) = (folder / "logs").glob("*.eval")
    shutil.copy(log, HERE / "inspect.eval")
    convert = [str(tools / "inspect"), "log", "convert", str(log), "--to", "json", "--output-dir", "json"]
    await _run(convert, folder)
    (document,) = (folder / "json").glob("*.json")
    (HERE / "inspect.json.xz").write_bytes(lzma.compress(document.read_bytes()))


async def _lm_eval(tools: Path, address: str, folder: Path) -> None:
    (folder / "rows.jsonl").write_text(_rows("question"), "utf-8")
    task = LM_EVAL_TASK.format(data=folder / "rows.jsonl", temperature=TEMPERATURE, max_tokens=MAX_TOKENS)
    (folder / "sums.yaml").write_text(task, "utf-8")
    shutil.rmtree(HERE / MODEL, ignore_errors=True)
    for seed in SEEDS:
        out = folder / f"out{seed}"
        model = f"model={MODEL},base_url={address}/v1/chat/completions,num_concurrent=4"
        command = [str(tools / "lm_eval"), "--model", "local-chat-completions", "--model_args", model]
        options = ["--tasks", "sums", "--include_path", ".", "--apply_chat_template", "--log_samples"]
        await _run(
            [*command, *options, "--seed", str(seed), "--output_path", str(out)],
            folder,
            OPENAI_API_KEY="none",
            HF_HOME=str(folder / "hf"),
        )
        (HERE / MODEL).mkdir(exist_ok=True)
        for written in out.rglob("samples_*.jsonl"):
            shutil.copy(written, HERE / MODEL / written.name)


async def main(inspect: Path, lm_eval: Path) -> None:
    engine = await open_engine(MODEL, load())
    try:
        async with Server(Served(engine).answer) as server:
            with tempfile.TemporaryDirectory() as folder:
                await _inspect(inspect, server.address, Path(folder))
            with tempfile.TemporaryDirectory() as folder:
                await _lm_eval(lm_eval, server.address, Path(folder))
    finally:
        await engine.close()


if __name__ == "__main__":
    asyncio.run(main(*(Path(name).absolute() for name in sys.argv[1:3])))
