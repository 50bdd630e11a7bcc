"""uvicorn with a house inside: signals, draining, the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from types import FrameType

import uvicorn

from ponder.config import Settings
from ponder.core import Engine
from ponder.errors import InputError
from ponder.ledger.signing import sign
from ponder.serve.app import application
from ponder.serve.connecting import Connection
from ponder.serve.house import House, Options
from ponder.serve.keeping import keep
from ponder.serve.keys import Keyring
from ponder.serve.opening import open_house

__all__ = ["Server", "bind", "check_address", "serve"]

GRACE_SECONDS = 1.0
"""What requests in flight still have when the server is told to end."""


class Server(uvicorn.Server):
    """Ends its requests before it waits for their connections, which streams would keep open."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self.house = house

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Without raising them anew at the end, as uvicorn does: models and ledger are yet to be closed."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # What is there now lives as long as the process, and to look through it again and again for garbage
        # would take a third of the time that a thousand streams need to end.
        gc.freeze()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the door, end the requests, then wait for the connections: uvicorn's patience would else run
        out while many requests are being settled, and cut their streams off without a word."""
        for door in (*self.servers, *(sockets or ())):
            door.close()
        await self.house.drain(GRACE_SECONDS)
        await super().shutdown(sockets)


def check_address(host: str, *, keys: bool) -> None:
    """Without keys the server listens on this machine alone. Raises InputError."""
    if not keys and not is_loopback(host):
        raise InputError(f"host: {host} can be reached from other machines; give --keys, or leave it out.")


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def bind(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises InputError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Without its protocol stated asyncio does not turn Nagle's algorithm off, which costs 40 ms an answer.
    found = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(2048)
    except (OSError, OverflowError) as error:
        found.close()
        raise InputError(f"port: {host} port {port} cannot be listened on ({error}); give another.") from None
    return found


async def serve(
    settings: Settings,
    options: Options,
    *,
    host: str = "127.0.0.1",
    port: int = 8080,
    keyring: Keyring | None = None,
    names: Sequence[str] = (),
    engine: Engine | None = None,
    ready: Callable[[str, Server], None] = lambda address, server: None,
) -> None:
    """Serve until a signal ends it. `ready` is told the address once it listens. `names`:
    other names that the server is asked for by; on loopback only its own are answered to.

    Raises PonderError in one sentence before it listens.
    """
    check_address(host, keys=keyring is not None)
    if options.sign is not None:
        sign({}, options.sign)  # a key that cannot be used is told of now
    listening = bind(host, port)
    try:
        async with (
            open_house(settings, options, keyring, engine=engine) as house,
            AsyncExitStack() as closing,
        ):
            hosts = None if not is_loopback(host) and not names else tuple(names)
            config = uvicorn.Config(
                application(house, hosts=hosts),
                log_level="error",
                access_log=False,
                server_header=False,
                lifespan="off",
                proxy_headers=False,
                timeout_graceful_shutdown=1,
                h11_max_incomplete_event_size=64 << 10,
                http=Connection,
                ws="none",
            )
            server = Server(config, house)
            if options.keep_days is not None:
                cleaning = asyncio.ensure_future(keep(house.ledger, options.keep_days))
                closing.callback(cleaning.cancel)
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listening.getsockname()[1]}", server)
            await server.serve(sockets=[listening])
    finally:
        listening.close()
