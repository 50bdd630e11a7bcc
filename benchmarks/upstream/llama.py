"""llama.cpp's server on a port: `python llama.py WEIGHTS PORT`. It needs xllamacpp and nothing of ponder."""

import signal
import sys


def main(weights: str, port: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = weights
    params.model_alias = {"M"}
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    params.n_parallel = 4
    params.n_ctx = 8192
    params.kv_unified = True
    params.cache_ram_mib = 0
    params.endpoint_metrics = True
    params.warmup = False
    # Its threads wait for each other by spinning: on a shared machine one is faster than two.
    params.cpuparams.n_threads = 1
    params.verbosity = -1
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
