import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.upstream import Upstream


@pytest.fixture(scope="session")
def llama_server(weights: Path) -> Iterator[str]:
    """The address of llama.cpp's server with the embedded model's weights, in a process of its own."""
    script = Path(__file__).with_name("llama_server.py")
    with subprocess.Popen(
        [sys.executable, str(script), str(weights)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), "the server did not start"
        yield address + "/v1"
        child.stdin.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server
