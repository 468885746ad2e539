"""The password of Redis from a file: no process has it in its environment, and a new one needs no restart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from redis import Redis

from tests.integration.cli_program import Program, payload
from tests.integration.test_reload import supervise
from tests.redis_server import RedisProcess

pytestmark = pytest.mark.redis
FIRST, SECOND = "first-secret", "second-secret"


def test_a_new_password_needs_no_restart(tmp_path: Path, redis_process: Callable[..., RedisProcess]) -> None:
    server = redis_process()
    operator = Redis(unix_socket_path=str(server.socket))
    operator.config_set("requirepass", FIRST)
    password = tmp_path / "password"
    password.write_text(f"{FIRST}\n")
    program = Program(tmp_path, server.url, env={"PREVIEW_REDIS_PASSWORD_FILE": str(password)})
    with supervise(program, "--workers", "1") as process:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        assert len(family) >= 3
        assert not any(FIRST in str(member.environ()) for member in family)
        password.write_text(f"{SECOND}\n")
        operator.config_set("requirepass", SECOND)
        operator.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        program.write("job.json", payload())
        assert program.run("submit", "job.json", "--wait").code == 0
        assert process.poll() is None
    operator.close()
