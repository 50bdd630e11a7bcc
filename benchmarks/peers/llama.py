"""llama.cpp's server on loopback as a child process: `python -m benchmarks.peers.llama WEIGHTS THREADS`
prints its address when it is ready and stops when its input ends."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.environments import ROOT, environment

__all__ = ["SLOTS", "serving"]

SLOTS = 16
LOADING_SECONDS = 120.0
# The contents of the messages and nothing else, so that a chat continues the same text as the bank does.
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
# For clients that drop the stop strings they were given.
STOPS = ["\n\nProblem", "\n\nQuestion"]


@contextlib.contextmanager
def serving(weights: Path, *, threads: int | None = None) -> Iterator[str]:
    """The address of a server of its own.

    Its threads wait for each other by spinning, so on a shared machine fewer are faster: by default half
    of the processors.
    """
    used = threads or max(1, (os.cpu_count() or 2) // 2)
    command = [sys.executable, "-m", "benchmarks.peers.llama", str(weights), str(used)]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise RuntimeError("llama.cpp's server did not start")
        yield address
    finally:
        process.kill()
        process.communicate()


def main(weights: str, threads: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {"M"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = 8192
    params.kv_unified = True
    params.cache_ram_mib = 0
    params.chat_template = TEMPLATE
    params.antiprompt = STOPS
    params.cpuparams.n_threads = int(threads)
    params.warmup = False
    params.verbosity = -1
    server = xllamacpp.Server(params)
    address = str(server.listening_address)
    _wait_until_loaded(address)
    print(address, flush=True)
    sys.stdin.read()


def _wait_until_loaded(address: str) -> None:
    until = time.monotonic() + LOADING_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            pass  # 503 while it loads
        time.sleep(0.1)
    raise SystemExit("the server did not load its model in time")


if __name__ == "__main__":
    main(*sys.argv[1:])
