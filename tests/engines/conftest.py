import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from ponder.engines.http import HttpEngine
from tests.engines.upstream import Opener, Upstream


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


@pytest.fixture
async def opened(upstream: Upstream) -> AsyncIterator[Opener]:
    """Opens engines, by default on the upstream and quick to retry, and closes them."""
    engines: list[HttpEngine] = []

    async def open_one(spec: str | None = None, **options: Any) -> HttpEngine:
        settings = {"backoff": 0.01, "retries": 2, "timeout": 5.0, **options}
        engines.append(await HttpEngine.from_spec(spec or f"{upstream.address}#M", **settings))
        return engines[-1]

    yield open_one
    for engine in engines:
        await engine.close()
