"""An upstream that answers at once, or after a while, in a process of its own: it prints its address.

It reads no more of a request than its end, so that what is measured is not this.
"""

from __future__ import annotations

import argparse
import asyncio
import json

_MODELS = {"object": "list", "data": [{"id": "M"}]}
_ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "M",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Answer: 13"}}
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}


def _response(value: object) -> bytes:
    body = json.dumps(value).encode()
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    )


class _Upstream(asyncio.Protocol):
    def __init__(self, seconds: float) -> None:
        self._seconds, self._held = seconds, b""
        self._models, self._answer = _response(_MODELS), _response(_ANSWER)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while (end := self._held.find(b"\r\n\r\n")) >= 0:
            head = self._held[:end].lower()
            _, found, rest = head.partition(b"content-length:")
            whole = end + 4 + (int(rest.split(b"\r\n")[0]) if found else 0)
            if len(self._held) < whole:
                return
            self._held = self._held[whole:]
            if head.startswith(b"get"):
                self._transport.write(self._models)
            elif self._seconds:
                asyncio.get_running_loop().call_later(self._seconds, self._transport.write, self._answer)
            else:
                self._transport.write(self._answer)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=0.0)
    seconds = parser.parse_args().seconds
    server = await asyncio.get_running_loop().create_server(
        lambda: _Upstream(seconds), "127.0.0.1", 0, backlog=2048
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
