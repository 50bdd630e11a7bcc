"""Where training and drawing run."""

from __future__ import annotations

import os

from ponder.errors import InputError

__all__ = ["choose", "described", "processes_on"]


def choose(wanted: str) -> str:
    """ "cpu" or "cuda" for "auto", "cpu" or "cuda". Raises InputError for a GPU that is not there."""
    import torch

    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device: PyTorch finds no GPU here; use --device cpu.")
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def described(device: str, processes: int = 1) -> str:
    """As the ledger has it: the threads or processes of a CPU, or the model of the GPUs, one a process."""
    import torch

    if device != "cpu":
        name = str(torch.cuda.get_device_name(device))
        return name if processes == 1 else f"{processes} × {name}"
    if processes > 1:
        return f"cpu, {processes} processes"
    threads = torch.get_num_threads()
    return f"cpu, {threads} thread" + ("s" if threads > 1 else "")


def processes_on(device: str, wanted: int | None) -> int:
    """How many processes draw side by side: as many as wanted, or one a core; one on a GPU."""
    return max(1, wanted or os.cpu_count() or 1) if device == "cpu" else 1
