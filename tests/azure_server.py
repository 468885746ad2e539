"""Azurite, Microsoft's small Azure Blob Storage for tests, if it is installed: ``npm install --global azurite``."""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from previewops.bucket_addresses import parse_bucket_address
from previewops.stores.objects.store import ObjectStore
from tests.object_servers import run_server
from tests.ports import free_port
from tests.shared_servers import ServerMissing

PROGRAM = "azurite-blob"
ACCOUNT = "devstoreaccount1"
# The same for every Azurite, and published in its documentation.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURE_CREDENTIALS = {"AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT, "AZURE_STORAGE_ACCOUNT_KEY": KEY}
VERSION = "2021-08-06"


@dataclass(frozen=True, slots=True)
class AzureServer:
    """A running server. ``endpoint`` is its address with the account; it accepts ``AZURE_CREDENTIALS``."""

    endpoint: str

    def make_store(self) -> ObjectStore:
        """A store in a container of its own."""
        name = f"container-{uuid4().hex[:12]}"
        self._create_container(name)
        return ObjectStore(parse_bucket_address(f"az://{name}/some/prefix?endpoint={self.endpoint}"))

    def _create_container(self, name: str) -> None:
        """Signed by the shared key: method, eleven empty headers, the headers of Azure, path and query."""
        now = f"{datetime.datetime.now(datetime.UTC):%a, %d %b %Y %H:%M:%S GMT}"
        path = f"/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container"
        text = f"PUT{chr(10) * 12}x-ms-date:{now}\nx-ms-version:{VERSION}\n{path}"
        digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
        request = urllib.request.Request(
            f"{self.endpoint}/{name}?restype=container",
            method="PUT",
            headers={
                "x-ms-date": now,
                "x-ms-version": VERSION,
                "Authorization": f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            response.read()


@contextmanager
def run_azurite(folder: Path) -> Iterator[str]:
    """Runs Azurite; returns its address with the account.

    Raises:
        ServerMissing: it is not installed.
    """
    if shutil.which(PROGRAM) is None:
        raise ServerMissing(f"not installed: {PROGRAM} (npm install --global azurite)")
    port = free_port()
    options = (
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
        "--skipApiVersionCheck",
        "--disableTelemetry",
    )
    with run_server(
        [PROGRAM, *options], folder / "azurite.log", dict(os.environ), folder, ready="successfully listens"
    ):
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
