"""The password of Redis changes under supervisor, worker, REST API and a Python client, idle and busy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from redis import Redis

from previewops.client import AsyncClient
from previewops.errors import RedisUnavailable
from previewops.states import JobState
from tests.fault.cluster import Cluster, Gate, payload
from tests.fault.supervisor_process import SupervisorProcess, environment
from tests.integration.cli_program import Program
from tests.integration.test_api_program import Running, running
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis

USER = "fleet"
PASSWORDS = ("first-secret", "second-secret", "third-secret")


async def test_a_rotated_password_is_taken_without_a_restart(
    tmp_path: Path, redis_process: Callable[..., RedisProcess]
) -> None:
    server, password_file = redis_process(), tmp_path / "password"
    operator = Redis(unix_socket_path=str(server.socket))
    url = f"unix://{USER}@{server.socket}"
    operator.execute_command("ACL", "SETUSER", USER, "on", f">{PASSWORDS[0]}", "~*", "&*", "+@all")
    password_file.write_text(f"{PASSWORDS[0]}\n")

    def change(*passwords: str) -> None:
        """Adds (>) and removes (<) passwords of the user."""
        operator.execute_command("ACL", "SETUSER", USER, *passwords)

    def cut_off() -> None:
        """Ends the connections of the user: all have to log in again."""
        operator.execute_command("CLIENT", "KILL", "USER", USER)

    async with (
        Cluster(server.url, tmp_path, redis_password_file=password_file, job_timeout_s=600) as cluster,
        SupervisorProcess(cluster, "--workers", "1", REDIS_URL=url) as supervisor,
        AsyncClient(url, settings=cluster.settings) as client,
    ):
        program = Program(tmp_path, url, env={**environment(cluster.settings), "REDIS_URL": url})
        with running(program) as api:
            (worker,) = await supervisor.running(1)
            await client.submit(payload("before"))
            cluster.accepted.add("before")
            await cluster.until("before", JobState.COMPLETED)

            # Idle, and in the wrong order: the server has the new password before the file has it.
            change(f">{PASSWORDS[1]}", f"<{PASSWORDS[0]}")
            cut_off()
            log = supervisor.worker_log(1)
            await cluster.eventually(lambda: "redis.unavailable" in log.read_text(), "the worker is rejected")
            await cluster.eventually(
                lambda: "Redis is unavailable" in supervisor.log.read_text(), "so is its supervisor"
            )
            with pytest.raises(RedisUnavailable):
                await client.submit(payload("during"))
            assert await ready(api) == 503
            password_file.write_text(f"{PASSWORDS[1]}\n")
            await cluster.eventually(
                lambda: "Redis is available again" in supervisor.log.read_text(), "they return"
            )
            await client.submit(payload("during"))
            cluster.accepted.add("during")
            await cluster.until("during", JobState.COMPLETED)
            assert await ready(api) == 200

            # Busy, and in the right order: the server accepts both until the file has changed.
            gate = Gate(tmp_path / "gate")
            await client.submit(payload("held", gate=str(gate.path)))
            cluster.accepted.add("held")
            await gate.arrival()
            change(f">{PASSWORDS[2]}")
            password_file.write_text(f"{PASSWORDS[2]}\n")
            cut_off()
            change(f"<{PASSWORDS[1]}")
            gate.open()
            record = await cluster.until("held", JobState.COMPLETED)
            assert (record.attempts, record.crashes) == (0, 0)
            assert await ready(api) == 200
            assert api.process.poll() is None
        (same,) = await supervisor.running(1)
        assert (same.worker_id, same.pid) == (worker.worker_id, worker.pid)
        await cluster.judge()
    operator.close()


async def ready(api: Running) -> int:
    """The status of /readyz."""
    async with api.client() as http:
        response: httpx.Response = await http.get("/readyz")
        return response.status_code
