"""What the README and the server's page tell a user to type, typed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.serve.serving import serving, thinker

ROOT = Path(__file__).parents[2]
SHOWN = "http://127.0.0.1:8080"


def blocks(page: str, language: str, word: str) -> list[str]:
    """A page's blocks of code in which a word stands."""
    text = (ROOT / page).read_text()
    return [block for block in re.findall(rf"```{language}\n(.*?)```", text, re.S) if word in block]


@pytest.fixture
def address(tmp_path: Path) -> Any:
    with serving(tmp_path, thinker()) as served:
        yield served.address


@pytest.mark.parametrize("page", ["README.md", "docs/server.md"])
def test_the_lines_with_curl(page: str, address: str) -> None:
    lines = [block for block in blocks(page, "bash", "curl") if "authorization" not in block]
    assert lines
    for line in lines:
        assert SHOWN in line
        done = subprocess.run(
            ["bash", "-c", line.replace(SHOWN, address)],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        told = json.loads(done.stdout)
        assert told["object"] in ("chat.completion", "response")
        assert told["usage"]["total_tokens"] > 0


def test_the_lines_of_python(address: str) -> None:
    (lines,) = blocks("README.md", "python", "openai")
    done = subprocess.run(
        [sys.executable, "-c", lines.replace(SHOWN, address)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert re.fullmatch(r"13 \d+\n", done.stdout)
