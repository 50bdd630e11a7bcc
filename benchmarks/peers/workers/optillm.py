"""optillm: its own proxy in front of the endpoint, asked as its documentation says.

It votes by its own reading of answers, which cannot be replaced; what it returns is read like all others'.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.workers.lines import Answered, Job, arguments, serve

START_SECONDS = 90.0


@contextlib.contextmanager
def _proxy(address: str, n: int) -> Iterator[str]:
    """Its server, started and ended; the address of its API."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = str(Path(sys.executable).with_name("optillm"))
    flags = ["--base-url", address, "--host", "127.0.0.1", "--port", str(port), "--best-of-n", str(n)]
    environment = os.environ | {"OPENAI_API_KEY": "sk-x"}
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([program, *flags], env=environment, stdout=quiet, stderr=quiet)
    try:
        until = time.monotonic() + START_SECONDS
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("optillm did not start")
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with contextlib.closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _post(url: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json", "authorization": "Bearer sk-x"}
    )
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


async def main() -> None:
    address, chosen = arguments()
    with _proxy(address, chosen["n"]) as proxy:

        async def answer(job: Job) -> Answered:
            body = {
                "model": f"{chosen['approach']}-M",
                "messages": [{"role": "user", "content": job.prompt}],
                "max_tokens": job.question["max_tokens"],
                "temperature": 0.8,
                "stop": job.question["stop"],
                "k": chosen["n"],
            }
            payload = await asyncio.to_thread(_post, f"{proxy}/chat/completions", body)
            usage = payload.get("usage") or {}
            text = payload["choices"][0]["message"]["content"] or ""
            return Answered(text, usage.get("completion_tokens"), usage.get("prompt_tokens"))

        await serve(answer)


if __name__ == "__main__":
    asyncio.run(main())
