"""Credentials of a bucket that are rotated while a store is in use."""

from __future__ import annotations

import datetime
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.stores.objects.store import ObjectStore

VALID_S = 60
"""Shorter than the five minutes before their end from which on credentials are renewed: each request renews them."""


class Issuer(ThreadingHTTPServer):
    """A container's credential service and an empty bucket. ``sessions`` are the tokens that the bucket saw."""

    def __init__(self) -> None:
        self.sessions: list[str | None] = []
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        if self.path == "/credentials":
            name = self.headers["Authorization"]
            expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=VALID_S)
            keys = {"AccessKeyId": f"key-{name}", "SecretAccessKey": "s", "Token": f"session-{name}"}
            self._answer(200, json.dumps({**keys, "Expiration": f"{expires:%Y-%m-%dT%H:%M:%SZ}"}))
        else:
            self.server.sessions.append(self.headers["x-amz-security-token"])
            self._answer(404, "<Error><Code>NoSuchKey</Code></Error>")

    def _answer(self, status: int, content: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_arguments: object) -> None:
        """Prints nothing."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with Issuer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_session_token_that_was_renewed_is_used_without_a_restart(
    issuer: Issuer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    endpoint, token_file = f"http://127.0.0.1:{issuer.server_port}", tmp_path / "token"
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{endpoint}/credentials")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(token_file))
    token_file.write_text("first")
    store = ObjectStore(parse_bucket_address(f"s3://bucket/p?endpoint={endpoint}&region=x"))
    assert store.identify(create=False) is None
    token_file.write_text("second")
    while issuer.sessions[-1] == "session-first":  # a failure to renew is not repeated for 100 ms
        store.identify(create=False)
    assert set(issuer.sessions) == {"session-first", "session-second"}
