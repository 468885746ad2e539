"""A REST API process that can be killed, and a producer that repeats what it did not get a response to."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Self

import httpx

from tests.fault.cluster import PATIENCE_S, Cluster
from tests.forked_programs import program_template
from tests.ports import free_port

_JOBS = "/api/preview/jobs"
_PAUSE_S = 0.05


class RestApi:
    """``previewops api`` of a cluster's queue, on one port across restarts."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._port = free_port()
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", timeout=PATIENCE_S, verify=False
        )
        self._log = cluster.folder / "api.log"
        self.repeats = 0
        """Requests that were sent again, because there was no complete response."""

    async def __aenter__(self) -> Self:
        self._start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._kill()
        await self._client.aclose()

    def restart(self) -> None:
        """Kills the process, whatever it does, and starts another."""
        self._kill()
        self._start()

    def _start(self) -> None:
        environ = {**self._cluster.environ(), "PREVIEW_API_RATE": "0"}
        arguments = ("api", "--port", str(self._port))
        with self._log.open("ab") as log:
            self._process = program_template().start(
                "previewops", *arguments, env=environ, stdout=log, stderr=log, new_session=True
            )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()

    async def submit(self, *payloads: dict[str, Any]) -> None:
        """Submits a batch as a producer should: again until there is a complete response."""
        lines = "".join(f"{json.dumps(payload)}\n" for payload in payloads)
        async with asyncio.timeout(PATIENCE_S):
            while (statuses := await self._post(lines)) is None:
                self.repeats += 1
                await asyncio.sleep(_PAUSE_S)
        assert set(statuses) <= {200, 202}, statuses
        assert len(statuses) == len(payloads)
        self._cluster.accepted |= {payload["jobId"] for payload in payloads}

    async def _post(self, lines: str) -> list[int] | None:
        headers = {"content-type": "application/x-ndjson"}
        try:
            response = await self._client.post(_JOBS, content=lines, headers=headers)
        except httpx.TransportError:  # it is killed, or not there yet
            return None
        assert response.status_code == 200, response.text
        return [json.loads(line)["status"] for line in response.text.splitlines()]
