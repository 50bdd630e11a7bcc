"""A server of another project as a group of processes: started, paused, killed, asked what it counted."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from benchmarks.upstream.environments import model_folder, python
from tests.ports import free_port

__all__ = ["Upstream"]

START_SECONDS = 240.0
_SCRIPT = Path(__file__).with_name("llama.py")
_GENERATED = {"llama.cpp": "llamacpp:tokens_predicted_total", "vllm": "vllm:generation_tokens_total"}
# llama.cpp's server has such a count too, but looks for callers who left only after a second in which nobody
# was told anything: whoever asks for the count more often keeps it at work.
_RUNNING = {"vllm": "vllm:num_requests_running"}
_QUIET = {
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
}


@dataclass
class Upstream:
    """`kind` as in `environments.KINDS`; `weights`: a GGUF file, for llama.cpp; `log`: what it writes."""

    kind: str
    weights: Path
    log: Path
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def model(self) -> str:
        """What `ponder serve --model` is given."""
        return f"{self.address}/v1#M"

    def _command(self) -> list[str]:
        own, model, port = str(python(self.kind)), str(model_folder()), str(self.port)
        if self.kind == "llama.cpp":
            return [own, str(_SCRIPT), str(self.weights), port]
        # The command `vllm` of vllm-cpu looks for a package of the name vllm, and ends.
        shape = ["--max-model-len", "2048", "--max-num-seqs", "16", "--dtype", "float32"]
        name = ["--model", model, "--served-model-name", "M", "--enforce-eager"]
        module = [own, "-m", "vllm.entrypoints.openai.api_server"]
        return [*module, *name, *shape, "--host", "127.0.0.1", "--port", port]

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdout=log,
                stderr=log,
                env=os.environ | _QUIET,
                start_new_session=True,
            )
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(f"{self.address}/health", timeout=2).status_code == 200:
                    return
            time.sleep(0.2)
        self.kill()
        raise RuntimeError(f"{self.kind} did not start; see {self.log}")

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """All its processes at once, as a power loss would."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def generated(self) -> int | None:
        """The tokens that it says it generated since it started; None where it does not say."""
        found = self._metric(_GENERATED)
        return None if found is None else round(found)

    def running(self) -> int | None:
        """The requests that it says it works on; None where it does not say, or may not be asked."""
        found = self._metric(_RUNNING)
        return None if found is None else round(found)

    def processor_seconds(self) -> float:
        """What its processes have used. Of Linux alone."""
        assert self._process is not None
        spent = 0.0
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == self._process.pid:
                spent += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return spent

    def _metric(self, names: dict[str, str]) -> float | None:
        if self.kind not in names:
            return None
        text = httpx2.get(f"{self.address}/metrics", timeout=30).text
        row = re.compile("^" + re.escape(names[self.kind]) + r"(\{[^}]*\})? (\S+)$", re.M)
        return sum(float(value) for _, value in row.findall(text))
