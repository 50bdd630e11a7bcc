"""The HTTP engine against bytes that are no HTTP, and certificates that nobody vouches for."""

import asyncio
import datetime
import gzip
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ponder.errors import AuthFailed, BadResponse, CallFailed, EndpointDown, EngineError, RateLimited
from tests.engines.upstream import KEY, ONE, Opener, ask, assert_one_sentence

OK = b"HTTP/1.1 200 OK\r\n"


@asynccontextmanager
async def saying(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """The port of a server that answers everything with these bytes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"garbage garbage\r\n\r\n", EndpointDown),
        (OK + b"a header without a colon\r\n\r\n", EndpointDown),
        (OK + b"x: " + b"a" * 20_000 + b"\r\n\r\n", EndpointDown),
        (OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabc", EndpointDown),
        (OK + b"transfer-encoding: chunked\r\n\r\nzz\r\nabc", EndpointDown),
        (OK + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", BadResponse),
        (b"HTTP/1.1 307 There\r\nlocation: http://there/v1?key=" + KEY.encode() + b"\r\n\r\n", CallFailed),
        (b"HTTP/1.1 304 Same\r\n\r\n", BadResponse),
        (b"", EndpointDown),
    ],
)
async def test_no_error_repeats_the_addresss_query(
    opened: Opener, answer: bytes, kind: type[EngineError]
) -> None:
    async with saying(answer) as port:
        engine = await opened(f"http://127.0.0.1:{port}/v1?key={KEY}#M", retries=0)
        assert_one_sentence((await ask(engine)).error, kind)


async def test_a_compressed_answer_is_called_so(opened: Opener) -> None:
    packed = gzip.compress(json.dumps(ONE.body).encode())
    head = f"content-encoding: gzip\r\ncontent-length: {len(packed)}\r\n\r\n"
    async with saying(OK + head.encode() + packed) as port:
        generation = await ask(await opened(f"http://127.0.0.1:{port}/v1#M", retries=0))
    assert "compressed" in assert_one_sentence(generation.error, BadResponse)


@pytest.mark.parametrize(
    ("status", "rest", "kind"),
    [
        ("429 Slowly", b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", RateLimited),
        ("401 No", b"content-length: 90\r\n\r\nabc", AuthFailed),
        ("500 Oh", b"content-length: 90\r\n\r\nabc", CallFailed),
    ],
)
async def test_a_refusal_is_one_whatever_its_words_are(
    opened: Opener, status: str, rest: bytes, kind: type[EngineError]
) -> None:
    async with saying(f"HTTP/1.1 {status}\r\n".encode() + rest) as port:
        generation = await ask(await opened(f"http://127.0.0.1:{port}/v1#M", retries=0))
    assert_one_sentence(generation.error, kind)
    assert (generation.attempts[0].usage.tokens == 0) is (kind is not CallFailed)


async def test_a_proxy_that_refuses_is_named(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    async with saying(b"HTTP/1.1 407 Who\r\ncontent-length: 0\r\n\r\n") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:{KEY}@127.0.0.1:{port}")
        generation = await ask(await opened(f"https://models.example/v1?key={KEY}#M", retries=0))
    assert "the proxy answered 407" in assert_one_sentence(generation.error, EndpointDown)
    assert generation.attempts[0].usage.tokens == 0


def self_signed(folder: Path) -> ssl.SSLContext:
    key, name = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "n")]),
    )
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    path = folder / "both.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def test_a_certificate_that_is_not_trusted_is_named_and_not_tried_again(
    opened: Opener, tmp_path: Path
) -> None:
    async with saying(b"", self_signed(tmp_path)) as port:
        engine = await opened(f"https://127.0.0.1:{port}/v1#M", retries=3, backoff=60.0)
        generation = await ask(engine)
    assert "certificate" in assert_one_sentence(generation.error, CallFailed)
    assert len(generation.attempts) == 1
