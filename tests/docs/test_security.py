"""docs/security.md: every control names code and tests that exist; the Redis ACL is sufficient and minimal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from previewops.schemas import example
from tests.docs.documents import ROOT, blocks, section, table
from tests.integration.cli_program import Program
from tests.redis_server import RedisProcess

DOCUMENT = ROOT / "docs" / "security.md"
DEFINED = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^(?:async )?def (test_\w+)", path.read_text("utf-8"), re.MULTILINE)
}


def test_each_control_names_its_code_and_a_test_of_it() -> None:
    rows = table(DOCUMENT, "## Controls")
    assert len(rows) > 20
    for threat, control, code, tests in rows:
        assert threat
        assert control
        assert all((ROOT / path).is_file() for path in code.split(", ")), code
        assert set(tests.split(", ")) <= DEFINED, tests


def test_each_claim_about_the_sandbox_is_followed_by_the_tests_that_show_it() -> None:
    text = section(DOCUMENT, "## The render sandbox")
    claims = re.findall(r"^- (?:.|\n(?! *\n|- ))+", text, re.MULTILINE)
    assert len(claims) > 8
    for claim in claims:
        (names,) = re.findall(r"<!-- ([\w, ]+) -->$", claim)
        assert set(names.split(", ")) <= DEFINED, names


def test_security_documents_residual_risks() -> None:
    assert len(re.findall(r"^- \*\*", section(DOCUMENT, "## What remains"), re.MULTILINE)) > 8


def rule() -> list[str]:
    """The rules of the document's ACL, after ``user previewops``."""
    (line,) = (block.text for block in blocks(DOCUMENT, "text") if block.text.startswith("user previewops "))
    return line.split()[2:]


@pytest.mark.redis
def test_the_acl_allows_every_command_of_previewops(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    url = redis_process().url
    with redis.Redis.from_url(url) as admin:
        admin.execute_command("ACL", "SETUSER", "previewops", *rule())  # type: ignore[no-untyped-call]
        program = Program(tmp_path, f"unix://previewops:PASSWORD@{urlsplit(url).path}")
        for job_id, changed in (("good", {}), ("bad", {"steps": [{"assetIds": ["a"]}]})):
            made = {**example("minimal"), "jobId": job_id, "dryRun": False}
            made["previewRequest"] |= {
                **changed,
                "assets": [{"id": "a", "uri": "none.png"}] if changed else [],
            }
            program.write(f"{job_id}.json", json.dumps(made).encode())
            assert program.run("submit", f"{job_id}.json").code == 0
        done = program.run("worker", "--burst")
        assert done.code == 0, done.err
        assert program.run("status", "good", "--json").json["status"] == "completed"
        for arguments in (
            ("dlq", "list"),
            ("dlq", "show", "bad"),
            ("dlq", "requeue", "bad", "--yes"),
            ("cancel", "bad"),
            ("pause", "--reason", "a test"),
            ("resume",),
            ("stats",),
            ("workers",),
            ("jobs",),
            ("metrics",),
        ):
            done = program.run(*arguments)
            assert done.code == 0, f"{arguments}: {done.err}"
        assert "PREVIEWOPS UNKNOWN" not in program.run("health").out
        rejected = list(admin.execute_command("ACL", "LOG"))  # type: ignore[no-untyped-call]
        assert rejected == []


@pytest.mark.redis
def test_the_acl_denies_everything_else(redis_process: Callable[..., RedisProcess]) -> None:
    url = redis_process().url
    with redis.Redis.from_url(url) as admin:
        admin.execute_command("ACL", "SETUSER", "previewops", *rule())  # type: ignore[no-untyped-call]
    with redis.Redis.from_url(url, username="previewops", password="PASSWORD") as user:
        assert user.ping()
        for command in (
            ("GET", "other"),
            ("CONFIG", "SET", "dir", "x"),
            ("FLUSHALL",),
            ("KEYS", "*"),
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*command)  # type: ignore[no-untyped-call]
