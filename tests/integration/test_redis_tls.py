"""Redis over TLS: the certificate must match the host name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from previewops.errors import RedisUnavailable
from previewops.redis_server.connection import connect, redis_errors
from tests.certificates import certificate, needs_openssl


@asynccontextmanager
async def agreeable(tls: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that replies PONG to PING, its own address as a Sentinel, and OK to all else. Yields its port."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := await reader.read(4096):
            own_port = b"%d" % writer.get_extra_info("sockname")[1]
            address = b"*2\r\n$9\r\nlocalhost\r\n$%d\r\n%s\r\n" % (len(own_port), own_port)
            reply = address if b"SENTINEL" in command else b"+OK\r\n"
            writer.write(b"+PONG\r\n" if b"PING" in command else reply)
        writer.close()

    async with await asyncio.start_server(respond, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1]


@needs_openssl
@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("other.test", False)])
@pytest.mark.parametrize("form", ["rediss://localhost:{}", "rediss+sentinel://localhost:{}/previews"])
async def test_certificate_of_another_name_is_rejected(
    tmp_path: Path, name: str, trusted: bool, form: str
) -> None:
    made, tls = certificate(tmp_path, name)
    async with agreeable(tls) as port:
        url = f"{form.format(port)}?ssl_ca_certs={made}"
        redis = connect(url, role="test")
        try:
            if trusted:
                assert await redis.ping()
            else:
                with pytest.raises(RedisUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
                    async with redis_errors(url):
                        await redis.ping()
        finally:
            await redis.aclose()
