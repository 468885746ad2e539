"""The API process on a socket: a complete bundle, signals, misbehaving clients."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from previewops.api.bounded_protocol import MAX_HEAD_BYTES
from previewops.errors import EXIT_USAGE
from tests.api_support import JOBS
from tests.integration.cli_program import Program, payload, queue_driver

pytestmark = pytest.mark.redis

TOKEN = "acting-token-0123456789"
TIMEOUT_S = 60


class Running:
    """API process and its log."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log: list[dict[str, Any]] = []
        self._new_line = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        self.url = str(self.logged(lambda line: line["event"] == "api.started")["addresses"][0])

    def _listen(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            for line in stream:
                with self._new_line:
                    self.log.append(json.loads(line))
                    self._new_line.notify_all()

    def logged(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Waits for the first log line that matches."""
        with self._new_line:
            assert self._new_line.wait_for(lambda: any(map(matches, self.log)), TIMEOUT_S), self.log
            return next(filter(matches, self.log))

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        return str(parts.hostname), int(parts.port or 0)

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=TIMEOUT_S)

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT_S)


@contextmanager
def running(program: Program, *arguments: str) -> Iterator[Running]:
    process = program.start("api", "--port", "0", *arguments, stderr=subprocess.PIPE)
    try:
        yield Running(process)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(TIMEOUT_S)


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    return Program(tmp_path, redis_url)


@pytest.fixture
def api(program: Program) -> Iterator[Running]:
    with running(program) as served:
        yield served


async def events(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_a_bundle_by_http_alone(program: Program) -> None:
    steps = [{"title": f"Step {number}", "text": "One of three.", "durationMs": 200} for number in range(3)]
    request = {"title": "By HTTP", "steps": steps, "assets": [], "audio": {}}
    worker = program.start("worker", stderr=subprocess.DEVNULL)
    try:
        with running(program) as api:
            async with api.client() as client:
                accepted = await client.post(JOBS, json=payload("a", previewRequest=request))
                assert accepted.status_code == 202
                async with client.stream("GET", f"{JOBS}/a/events") as stream:
                    received = [event async for event in events(stream)]
                assert [name for name, _ in received][-1] == "end"
                assert received[-1][1]["status"] == "completed"
                manifest = (await client.get(f"{JOBS}/a/artifacts")).json()
                assert {item["path"] for item in manifest["files"]} >= {"poster.webp", "animation.webp"}
                for item in manifest["files"]:
                    response = await client.get(f"{JOBS}/a/artifacts/{item['path']}")
                    assert response.headers["content-type"].partition(";")[0] == item["mediaType"]
                    assert len(response.content) == item["bytes"]
                    assert hashlib.sha256(response.content).hexdigest() == item["sha256"]
                preview = (await client.get(f"{JOBS}/a/artifacts/preview.json")).json()
                raw = (await client.get(f"{JOBS}/a/artifacts/container.json")).content
                assert hashlib.sha256(raw).hexdigest() == preview["container"]["sha256"]
            assert api.end() == 0
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(TIMEOUT_S)


async def test_a_file_of_tokens_opens_other_addresses_and_is_read_again(
    program: Program, tmp_path: Path
) -> None:
    made = [
        program.run("token", "new", name, "--scope", "read", "--project", "*", "--json").json
        for name in ("old", "new")
    ]
    path = tmp_path / "tokens.toml"
    path.write_text(made[0]["line"])
    program.env |= {"PREVIEW_API_TOKENS_FILE": str(path), "PREVIEW_API_RATE": "0"}  # it asks again and again
    with running(program, "--host", "0.0.0.0") as api:
        _, port = api.address
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=TIMEOUT_S) as client:

            async def statuses() -> list[int]:
                return [
                    (
                        await client.get("/openapi.json", headers={"authorization": f"Bearer {one['token']}"})
                    ).status_code
                    for one in made
                ]

            assert await statuses() == [200, 401]
            path.write_text("old = {")
            while not any(line["event"] == "api.tokens-rejected" for line in api.log):
                assert await statuses() == [200, 401]
            path.write_text(made[1]["line"])
            while await statuses() != [401, 200]:
                pass
        assert api.end() == 0
    assert {line.get("token") for line in api.log if line["event"] == "api.answered"} == {"old", "new", None}
    assert not any(one["token"] in str(api.log) for one in made)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_streams_and_the_process_in_order(api: Running, signum: int) -> None:
    async with api.client() as client:
        await client.post(JOBS, json=payload("a"))
        async with client.stream("GET", f"{JOBS}/a/events") as stream:
            result = events(stream)
            assert (await anext(result))[1]["status"] == "waiting"
            api.process.send_signal(signum)
            assert [event async for event in result] == []
    assert api.process.wait(TIMEOUT_S) == 0
    api.logged(lambda line: line["event"] == "api.stopped")
    assert api.logged(lambda line: line.get("path") == f"{JOBS}/a/events")["status"] == 200


async def test_open_requests_are_answered_after_the_signal(api: Running) -> None:
    reader, writer = await asyncio.open_connection(*api.address)
    body = json.dumps(payload("a")).encode()
    head = f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n".encode())
    assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
    api.process.send_signal(signal.SIGTERM)
    writer.write(body)
    assert b"HTTP/1.1 202" in await reader.readuntil(b"\r\n\r\n")
    assert api.process.wait(TIMEOUT_S) == 0
    writer.close()


async def test_large_bodies_are_accepted(api: Running) -> None:
    text = "x" * 9_000
    steps = [{"text": text} for _ in range(100)]
    request = {"steps": steps, "assets": [], "audio": {}}
    async with api.client() as client:
        for number in range(2):
            response = await client.post(JOBS, json=payload(f"job-{number}", previewRequest=request))
            assert response.status_code == 202


@asynccontextmanager
async def raw(api: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*api.address)
    try:
        yield reader, writer
    finally:
        writer.close()


def checked(api: Running, head: bytes, body: bytes) -> tuple[int, dict[str, Any]]:
    """Checks a problem response, its headers and its log line."""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    status = int(first.split()[1])
    assert headers["content-type"] == "application/problem+json"
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["connection"] == "close"
    made = headers["x-request-id"]
    event = api.logged(lambda line: line["event"] == "api.answered" and line["httpId"] == made)
    assert event["status"] == status
    assert int(headers["content-length"]) == len(body)
    return status, json.loads(body)


async def answer_to(api: Running, request: bytes) -> tuple[int, dict[str, Any]]:
    """Returns status and problem of the response, after which the connection is closed."""
    async with raw(api) as (reader, writer):
        writer.write(request)
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        return checked(api, head, body)


async def test_malformed_http_is_400(api: Running) -> None:
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        assert (await answer_to(api, request))[0] == 400


HEAD_END = b"\r\n\r\n"

GET = "GET /api/preview/queue/metrics HTTP/1.1"
POST = f"POST {JOBS} HTTP/1.1"
LOCAL = "Host: localhost"
JSON = "Content-Type: application/json"
REJECTED_HEADS = [
    (400, [GET]),
    (400, [GET, LOCAL, LOCAL]),
    (400, [GET, LOCAL, "Host: other.example"]),
    (400, [GET, "Host: localhost:evil"]),
    (400, [GET, "Host: localhost:80:90"]),
    (400, [GET, "Host: [::1]evil.com"]),
    (400, [GET, "Host: [::1"]),
    (400, [GET, "Host: local host"]),
    (400, ["GET /livez HTTP/1.1"]),
    (421, [GET, "Host: evil.example"]),
    (421, ["GET /metrics HTTP/1.0"]),
    (415, [POST, LOCAL, JSON, "Content-Encoding: gzip", "Content-Length: 2", "", "{}"]),
    (501, [POST, LOCAL, JSON, "Transfer-Encoding: gzip, chunked", "", "0", ""]),
    (417, [POST, LOCAL, JSON, "Expect: 200-ok", "Content-Length: 2", "", "{}"]),
    (505, ["GET /livez HTTP/2.0", LOCAL]),
    (505, ["GET /livez HTTP/0.9", LOCAL]),
    (400, [POST, LOCAL, JSON, "Transfer-Encoding: chunked", "Content-Length: 2", "", "{}"]),
    (400, [POST, LOCAL, JSON, "Content-Length: 2", "Content-Length: 3", "", "{}"]),
    (400, [GET, LOCAL, "Folded: a", " b"]),
    (400, [GET, LOCAL, "Space : a"]),
]
"""(status, lines of the request): what RFC 9110 and RFC 9112 demand or allow to reject."""


async def test_heads_are_rejected_as_http_demands(api: Running) -> None:
    for status, request_lines in REJECTED_HEADS:
        first, *others = request_lines
        request = "\r\n".join([first, "Connection: close", *others, "", ""]).encode()
        async with raw(api) as (reader, writer):
            writer.write(request)
            head, _, body = (await reader.read()).partition(HEAD_END)
        assert checked(api, head, body)[0] == status, request


async def test_probes_are_answered_under_any_host_name(program: Program) -> None:
    program.env |= {"PREVIEW_API_HOSTS": "previews.example", "PREVIEW_API_TOKEN": TOKEN}
    with running(program) as api:
        for request in (
            b"GET /livez HTTP/1.0\r\n\r\n",
            b"GET /readyz HTTP/1.0\r\n\r\n",
            b"GET /livez HTTP/1.1\r\nHost: 10.1.2.3:8098\r\nConnection: close\r\n\r\n",
            b"HEAD /readyz HTTP/1.1\r\nHost: target.example\r\nConnection: close\r\n\r\n",
        ):
            async with raw(api) as (reader, writer):
                writer.write(request)
                assert b" 200 " in await reader.readuntil(HEAD_END)


def head_of(size: int) -> bytes:
    """Returns a request without a body whose head has ``size`` counted bytes."""
    path, host = b"/livez", b"Host: localhost"
    filler = b"x" * (size - len(path + host) - 2 - len(b"Filler: ") - 2)
    return b"GET " + path + b" HTTP/1.1\r\n" + host + b"\r\nFiller: " + filler + HEAD_END


NO_HTTP = b"GET / HTTP/9.9\r\n\r\n"


async def test_rejection_is_sent_in_pipeline_order(api: Running) -> None:
    async with api.client() as client, raw(api) as (reader, writer):
        await client.post(JOBS, json=payload("a"))
        writer.write(f"GET {JOBS}/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        began = await reader.readuntil(b'"waiting"')
        writer.write(NO_HTTP)
        # Requests are read in order: the malformed one is rejected by the time of this response.
        assert (await client.get("/livez")).status_code == 200
        assert (await client.delete(f"{JOBS}/a")).status_code == 200
        response = began + await reader.readuntil(b"0\r\n\r\n")
        assert b"event: end" in response
        assert response.count(b"HTTP/1.1") == 1
        head, _, body = (await reader.read()).partition(HEAD_END)
        assert checked(api, head, body)[0] == 400


async def test_stream_ends_with_its_connection_despite_pipelined_requests(program: Program) -> None:
    assert program.url is not None
    with running(program) as api:
        async with queue_driver(program.url) as driver:
            await driver.submit(payload("a"))
            async with raw(api) as (reader, writer):
                writer.write(f"GET {JOBS}/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                await reader.readuntil(b'"waiting"')
                writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                async with api.client() as client:
                    assert (await client.get("/livez")).status_code == 200
                with_reset = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, with_reset)
            await writer.wait_closed()
            # A lost connection is noticed only by a write.
            await driver.claim()
            await asyncio.to_thread(api.logged, lambda line: line.get("path") == f"{JOBS}/a/events")
        assert api.end() == 0


async def test_requests_before_a_rejected_one_are_answered(api: Running) -> None:
    async with raw(api) as (reader, writer):
        writer.write(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2 + NO_HTTP)
        response = await reader.read()
    assert [part.split()[0] for part in response.split(b"HTTP/1.1 ")[1:]] == [b"200", b"200", b"400"]


async def test_malformed_body_is_400(api: Running) -> None:
    request = CHUNKED + b"Content-Type: application/json\r\n\r\nno number\r\n"
    assert (await answer_to(api, request))[0] == 400
    assert api.logged(lambda line: line.get("path") == JOBS)["status"] == 400


async def test_head_size_limit_is_exact(api: Running) -> None:
    async with raw(api) as (reader, writer):
        writer.write(head_of(MAX_HEAD_BYTES))
        assert b" 200 " in await reader.readuntil(HEAD_END)
    for request in (
        head_of(MAX_HEAD_BYTES + 1),
        b"GET /" + b"x" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost" + HEAD_END,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"a: \r\n" * (MAX_HEAD_BYTES // 5) + b"\r\n",
    ):
        status, problem = await answer_to(api, request)
        assert (status, problem["type"]) == (431, "urn:previewops:problem:head-too-large")


CHUNKED = f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n".encode()


@pytest.mark.parametrize(
    ("begin", "piece"),
    [
        (b"GET /livez HTTP/1.1\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (b"GET /livez HTTP/1.1\r\nX-Filler: ", b"x" * 1000),
        (CHUNKED + b"Content-Type: application/json\r\n\r\n0\r\n", b"X-Filler: " + b"x" * 1000 + b"\r\n"),
        (CHUNKED + b"Content-Type: application/json\r\n\r\n0\r\nX-Filler: ", b"x" * 1000),
        (CHUNKED + b"Content-Type: application/json\r\n\r\n1;ext=", b"x" * 1000),
    ],
    ids=["headers", "one header", "trailers", "one trailer", "an extension of a chunk"],
)
async def test_endless_request_is_aborted(api: Running, begin: bytes, piece: bytes) -> None:
    enough = 100 * MAX_HEAD_BYTES
    async with raw(api) as (reader, writer):
        writer.write(begin)
        sent = 0
        while not reader.at_eof() and not writer.is_closing() and sent < enough:
            writer.write(piece)
            sent += len(piece)
            with suppress(ConnectionError):
                await writer.drain()
        assert sent < enough


async def test_trailers_are_ignored(program: Program) -> None:
    program.env["PREVIEW_API_TOKEN"] = TOKEN
    with running(program) as api:
        path = "/api/preview/queue/pause"
        body = b"2\r\n{}\r\n0\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n".encode()
        kind, token = b"Content-Type: application/json\r\n", f"Authorization: Bearer {TOKEN}\r\n".encode()
        for request, expected in (
            (head + kind + b"\r\n" + body + token + b"\r\n", 401),
            (head + token + b"\r\n" + body + kind + b"\r\n", 415),
            (head + kind + token + b"\r\n" + body + b"X-Preview-User: trailer\r\n\r\n", 200),
        ):
            async with raw(api) as (reader, writer):
                # Sent at once: the fields are parsed before the application reads the request.
                writer.write(request)
                response_head = await reader.readuntil(HEAD_END)
                assert response_head.split()[1] == str(expected).encode()
                if expected == 200:
                    length = int(response_head.lower().partition(b"content-length:")[2].split()[0])
                    assert json.loads(await reader.readexactly(length))["pausedBy"].startswith("api@")


async def test_the_authority_of_an_absolute_target_is_the_host(api: Running) -> None:
    for target, status in (
        ("http://evil.example/api/preview/queue/metrics", 421),
        ("http://a@localhost/livez", 400),
        ("http://localhost/api/preview/queue/metrics", 200),
    ):
        async with raw(api) as (reader, writer):
            writer.write(f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            assert (await reader.readuntil(HEAD_END)).split()[1] == str(status).encode(), target


async def test_slow_request_is_408(program: Program) -> None:
    program.env["PREVIEW_API_CLIENT_TIMEOUT_S"] = "1"
    with running(program) as api:
        half = f"POST {JOBS} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n"
        for request in (
            b"",
            b"GET /livez HT",
            half.encode(),
            f"{half}Content-Type: application/json\r\n\r\n{{".encode(),
        ):
            status, problem = await answer_to(api, request)
            assert (status, problem["type"]) == (408, "urn:previewops:problem:request-timeout")
        assert api.end() == 0


async def test_client_that_does_not_read_is_disconnected(program: Program) -> None:
    program.env["PREVIEW_API_CLIENT_TIMEOUT_S"] = "1"
    big = program.folder / "data" / "previews" / "lessons" / "a"
    big.mkdir(parents=True)
    size = 64 * 1024 * 1024
    with (big / "big.webm").open("wb") as file:
        file.truncate(size)
    entry = {"path": "big.webm", "bytes": size, "sha256": "0" * 64, "mediaType": "video/webm"}
    (big / "container.json").write_text(json.dumps({"version": 1, "files": [entry]}))
    assert program.url is not None
    async with queue_driver(program.url) as driver:
        await driver.complete("a", result={"bundle": str(big)})
    with running(program) as api:
        async with raw(api) as (reader, writer):
            writer.write(f"GET {JOBS}/a/artifacts/big.webm HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            # The client stops reading; the log shows when the request was aborted.
            await asyncio.to_thread(api.logged, lambda line: line.get("path", "").endswith("big.webm"))
        assert api.end() == 0


PROBE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"


def is_alive(connection: socket.socket) -> bool:
    """Sends a probe and reads its response."""
    connection.sendall(PROBE)
    response = b""
    while not response.endswith(b"}"):
        piece = connection.recv(1_000)
        assert piece, "the connection was closed"
        response += piece
    return b" 200 " in response


async def test_connections_over_the_limit_get_503_but_probes_an_answer(program: Program) -> None:
    program.env["PREVIEW_API_CONNECTIONS"] = "2"
    assert program.url is not None
    with running(program) as api:
        async with queue_driver(program.url) as driver:
            await driver.submit(payload("a"))
        async with raw(api) as (first, one), raw(api) as (second, other):
            for reader, writer in ((first, one), (second, other)):
                writer.write(f"GET {JOBS}/a/events HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                await reader.readuntil(b'"waiting"')
            status, problem = await answer_to(api, METRICS)
            assert (status, problem["type"]) == (503, "urn:previewops:problem:overloaded")
            async with raw(api) as (reader, writer):
                writer.write(PROBE)
                assert b" 200 " in await reader.readuntil(HEAD_END)
        assert api.end() == 0


async def test_idle_connections_give_way_to_new_ones(program: Program) -> None:
    program.env["PREVIEW_API_CONNECTIONS"] = "10"
    with running(program) as api, ExitStack() as sockets:
        used = sockets.enter_context(socket.create_connection(api.address, TIMEOUT_S))
        assert is_alive(used)
        idle = [sockets.enter_context(socket.create_connection(api.address, TIMEOUT_S)) for _ in range(30)]
        for request in (PROBE, METRICS):
            async with raw(api) as (reader, writer):
                writer.write(request)
                assert b" 200 " in await reader.readuntil(HEAD_END)
        # The oldest are closed, and the one that has been used is not among them.
        assert [connection.recv(1) for connection in idle[:20]] == [b""] * 20
        assert is_alive(used)
        assert api.end() == 0


def test_non_loopback_address_requires_a_token(program: Program) -> None:
    done = program.run("api", "--host", "0.0.0.0", "--port", "0")
    assert (done.code, done.out) == (EXIT_USAGE, "")
    assert "without PREVIEW_API_TOKEN is a loopback address" in done.err
    assert done.err.count("\n") == 2


async def test_with_a_token_another_address_is_served(program: Program) -> None:
    program.env["PREVIEW_API_TOKEN"] = TOKEN
    with running(program, "--host", "0.0.0.0") as api:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api.address[1]}") as client:
            path = "/api/preview/queue/metrics"
            assert (await client.get(path)).status_code == 401
            headers = {"authorization": f"Bearer {TOKEN}", "host": "any.example"}
            assert (await client.get(path, headers=headers)).status_code == 200
        assert api.end() == 0
    assert TOKEN not in json.dumps(api.log)


def test_port_in_use_exits_2(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = program.run("api", "--port", str(taken.getsockname()[1]))
    assert (done.code, done.out) == (EXIT_USAGE, "")
    assert "another process is listening there" in done.err
    assert "--port" in done.err


def test_invalid_options_exit_2(program: Program) -> None:
    assert program.run("api", "--port", "70000").code == EXIT_USAGE
    assert program.run("api", "--host", "no.such.host.invalid").code == EXIT_USAGE
    assert "PREVIEW_API_RATE" in program.run("api", PREVIEW_API_RATE="fast").err
