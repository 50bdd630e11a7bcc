"""Ports for servers that must be told one before they start."""

from __future__ import annotations

import itertools
import os
import socket
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_taken = itertools.count(97 * os.getpid())  # so that processes side by side look at different places


def free_port() -> int:
    """One that nobody listens on now. What the system gives for port 0 it gives to anyone who connects, as
    soon as it is let go of; so this one is none of those that it gives."""
    low, high = map(int, _RANGE.read_text().split()) if _RANGE.exists() else (32_768, 65_535)
    places = [port for port in range(10_000, 65_536) if not low <= port <= high] or range(10_000, 65_536)
    for place in itertools.islice(_taken, len(places)):
        port = places[place % len(places)]
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("every port is taken")
