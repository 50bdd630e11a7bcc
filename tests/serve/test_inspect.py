"""Inspect as a client: `make inspect` installs it into an environment of its own and sets PONDER_INSPECT."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ponder.ledger import Ledger
from tests.serve.serving import serving, thinker

COMMAND = os.environ.get("PONDER_INSPECT")
TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import match
from inspect_ai.solver import generate

@task
def sums():
    samples = [Sample(input="What is 9 + 4?", target="13"), Sample(input="What is 9 + 5?", target="14")]
    return Task(dataset=samples, solver=generate(), scorer=match(numeric=True), epochs=2)
"""


@pytest.mark.skipif(COMMAND is None, reason="Inspect is not installed: `make inspect` does it")
@pytest.mark.parametrize(("api", "beside"), [("chat", 0), ("responses", 1)])  # it tries the latter out first
def test_inspect_evaluates_the_server(tmp_path: Path, api: str, beside: int) -> None:
    (tmp_path / "sums.py").write_text(TASK)
    with serving(tmp_path, thinker()) as served:
        done = subprocess.run(
            [
                *(str(COMMAND), "eval", "sums.py", "--model", "openai/ponder", "--log-dir", "logs"),
                *("--log-format", "json", "--display", "none", "--reasoning-effort", "low"),
                *("-M", f"responses_api={'true' if api == 'responses' else 'false'}"),
            ],
            cwd=tmp_path,
            env={**os.environ, "OPENAI_BASE_URL": f"{served.address}/v1", "OPENAI_API_KEY": "none"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (log,) = (tmp_path / "logs").glob("*.json")
    told = json.loads(log.read_text())
    assert told["status"] == "success"
    assert told["results"]["scores"][0]["metrics"]["accuracy"]["value"] == 0.5
    (usage,) = told["stats"]["model_usage"].values()
    with Ledger.open(served.ledger, write=False) as ledger:
        runs = [run.id for run in ledger.runs() if run.samples]
        spent = {ledger.usage(run).completion_tokens for run in runs}
    assert len(runs) == 4 + beside
    assert len(spent) == 1  # every answer is the same
    assert usage["output_tokens"] == 4 * (spent.pop() or 0) > usage["reasoning_tokens"] > 0
