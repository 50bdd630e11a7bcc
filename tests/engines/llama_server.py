"""A real OpenAI-compatible server on loopback, as a child process: llama.cpp's, on the given weights.

python llama_server.py WEIGHTS prints its address when it is ready and stops when its input ends.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

SLOTS = 4
TEMPLATE = "{% for message in messages %}{{ message['content'] }}{% endfor %}"


def main(weights: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {"M"}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = SLOTS
    params.n_ctx = 2048
    params.kv_unified = True
    params.cache_ram_mib = 0
    params.chat_template = TEMPLATE
    params.warmup = False
    # Its threads wait for each other by spinning: on a shared machine one is faster than two.
    params.cpuparams.n_threads = 1
    params.verbosity = -1
    server = xllamacpp.Server(params)
    address = str(server.listening_address)
    wait_until_loaded(address)
    print(address, flush=True)
    sys.stdin.read()


def wait_until_loaded(address: str) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.05)
    raise SystemExit("the server did not load its model within 60 s")


if __name__ == "__main__":
    main(sys.argv[1])
