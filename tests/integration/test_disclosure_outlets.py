"""A signed address and the paths of a host, driven through every outlet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.api_support import DEAD, JOBS, QUEUE, serve_api
from tests.integration.cli_program import Program, payload

pytestmark = pytest.mark.redis

SECRET = "hunter2hunter2"
SIGNED = f"https://cdn.example.invalid/a.png?X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}"
KEYS_WITH_PAYLOADS = ("arq:job:", "arq:result:")


def job(job_id: str, uri: str, **options: Any) -> dict[str, Any]:
    request = {
        "steps": [{"title": "One", "assetIds": ["a"]}],
        "assets": [{"id": "a", "uri": uri}],
        "audio": {},
        "options": {"format": "png", **options},
    }
    return payload(job_id, previewRequest=request)


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    """A queue on which a worker has failed at a signed address, at a link, at a missing file, and completed one."""
    program = Program(tmp_path, redis_url, env={"PREVIEW_MAX_ATTEMPTS": "1"})
    secret = tmp_path / "vault" / "secret-target.png"
    secret.parent.mkdir()
    secret.write_bytes(b"x")
    (tmp_path / "link.png").symlink_to(secret)
    program.env["PREVIEW_ASSET_ROOTS"] = str(tmp_path / "pictures")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "link.png").symlink_to(secret)
    jobs = [
        job("signed", SIGNED),
        job("linked", "link.png"),
        job("missing", "gone.png"),
        job("shown", "gone.png", onAssetError="gap"),
        payload("done"),
    ]
    lines = "\n".join(map(json.dumps, jobs))
    hosts = {"PREVIEW_ASSET_HOSTS": "cdn.example.invalid"}
    done = program.run("submit", "--jsonl", "-", stdin=lines.encode(), **hosts)
    assert done.code == 0, done.err
    assert SECRET not in done.out + done.err
    worked = program.run("worker", "--burst", **hosts)
    assert SECRET not in worked.out + worked.err, "in the log"
    return program


def test_the_signature_is_shown_by_no_command_and_stored_in_no_text(program: Program, redis_url: str) -> None:
    outputs = {
        arguments: program.run(*arguments)
        for arguments in (
            ("status", "signed"),
            ("status", "signed", "--json"),
            ("jobs", "--json"),
            ("dlq", "list"),
            ("dlq", "list", "--json"),
            ("dlq", "list", "--groups"),
            ("dlq", "show", "signed"),
            ("dlq", "show", "signed", "--json"),
            ("stats", "--json"),
            ("health", "--json"),
        )
    }
    assert "cdn.example.invalid/a.png?***" in outputs[("dlq", "show", "signed")].out
    for arguments, done in outputs.items():
        assert SECRET not in done.out + done.err, arguments
        assert "secret-target" not in done.out + done.err, arguments
    exported = program.run("dlq", "export", "--payloads").json_lines
    assert SIGNED in {entry["previewRequest"]["assets"][0]["uri"] for entry in exported}, "not whole"
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter():
            if not key.decode().startswith(KEYS_WITH_PAYLOADS):
                assert SECRET.encode() not in _content(redis, key), key


def _content(redis: Redis[bytes], key: bytes) -> bytes:
    readers = {
        b"hash": lambda: redis.hgetall(key),
        b"list": lambda: redis.lrange(key, 0, -1),
        b"stream": lambda: redis.xrange(key),
        b"zset": lambda: redis.zrange(key, 0, -1),
        b"string": lambda: redis.get(key),
    }
    return repr(readers[redis.type(key)]()).encode()


async def test_reasons_of_operators_are_stored_and_told_without_secrets(
    program: Program, redis_url: str, tmp_path: Path
) -> None:
    reason = f"moving {SIGNED} to {tmp_path}/new"
    for arguments in (
        ("dlq", "requeue", "linked", "--reason", reason),
        ("cancel", "linked", "--reason", reason),
        ("dlq", "discard", "missing", "--reason", reason),
        ("resume", "--reason", reason),
        ("pause", "--reason", reason),
    ):
        program.run(*arguments)
    with Redis.from_url(redis_url) as redis:
        for key in redis.scan_iter():
            if not key.decode().startswith(KEYS_WITH_PAYLOADS):
                assert SECRET.encode() not in _content(redis, key), key
    async with serve_api(redis_url, tmp_path / "data") as api:
        replies = [
            (await api.client.get(f"{QUEUE}/metrics")).text,
            (await api.client.post(f"{QUEUE}/pause", json={"reason": reason})).text,
            (await api.client.get("/api/preview/worker/health")).text,
        ]
    for text in replies:
        assert "moving https://cdn.example.invalid/a.png?***" in text
        assert SECRET not in text
        assert str(tmp_path) not in text


async def test_rest_reports_neither_secrets_nor_paths(
    program: Program, redis_url: str, tmp_path: Path
) -> None:
    names = ("signed", "linked", "missing", "shown", "done")
    async with serve_api(redis_url, tmp_path / "data", asset_roots=(tmp_path / "pictures",)) as api:
        texts = {name: (await api.client.get(f"{JOBS}/{name}/status")).text for name in names}
        texts |= {f"end {name}": (await api.client.get(f"{JOBS}/{name}/events")).text for name in names}
        texts["dlq"] = (await api.client.get(DEAD)).text
        texts["health"] = (await api.client.get("/api/preview/worker/health")).text
        texts["metrics"] = (await api.client.get(f"{QUEUE}/metrics")).text
        texts["preview"] = (await api.client.get(f"{JOBS}/done/artifacts/preview.json")).text
        outside = await api.client.post(JOBS, json=job("outside", "/etc/shadow"))
        texts["rejected"] = outside.text
    for outlet, text in texts.items():
        assert SECRET not in text, outlet
        assert str(tmp_path) not in text, outlet
        assert "secret-target" not in text, outlet
        assert "site-packages" not in text, outlet
    assert json.loads(texts["done"])["result"]["bundle"] == "previews/lessons/done"
    assert '"bundle":"previews/lessons/done"' in texts["end done"]
    assert '"…/gone.png"' in json.loads(texts["missing"])["failedReason"]
    assert json.loads(texts["rejected"])["errors"][0]["allowed"] == "paths under an asset root"


def test_the_operator_sees_where_a_file_was_searched(program: Program, tmp_path: Path) -> None:
    reason = program.run("status", "missing", "--json").json["failedReason"]
    assert str(tmp_path / "pictures" / "gone.png") in reason
