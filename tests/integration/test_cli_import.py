"""``submit --import``: local files are copied to the asset folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from PIL import Image

from tests.integration.cli_program import Program, payload

pytestmark = pytest.mark.redis


@pytest.fixture
def program(redis_url: str, tmp_path: Path) -> Program:
    (tmp_path / "mine" / "pics").mkdir(parents=True)
    Image.new("RGB", (8, 6), "teal").save(tmp_path / "mine" / "pics" / "a.png")
    return Program(tmp_path, redis_url)


def job(uri: str, **changes: Any) -> dict[str, Any]:
    return payload(previewRequest={"steps": [], "assets": [{"id": "a", "uri": uri, **changes}], "audio": {}})


def stored(url: str) -> dict[str, Any]:
    """Returns the stored payload of job-1."""
    with redis.Redis.from_url(url) as client:
        body = client.get("arq:job:job-1")
    assert isinstance(body, bytes)
    result: dict[str, Any] = json.loads(body)["a"][0]
    return result


def imported(program: Program) -> list[str]:
    store = program.folder / "data" / "assets"
    return sorted(str(path.relative_to(store)) for path in store.rglob("*") if path.is_file())


def test_relative_to_the_payloads_folder(program: Program, redis_url: str) -> None:
    done = program.run("submit", program.write("mine/job.json", job("pics/a.png")), "--import")
    assert done.code == 0
    digest = hashlib.sha256((program.folder / "mine/pics/a.png").read_bytes()).hexdigest()
    assert imported(program) == [f"{digest[:2]}/{digest}.png"]
    assert stored(redis_url)["previewRequest"]["assets"][0]["uri"] == f"{digest[:2]}/{digest}.png"


def test_relative_to_the_current_folder_for_standard_input(program: Program) -> None:
    raw = json.dumps(job("mine/pics/a.png")).encode()
    assert program.run("submit", "-", "--import", stdin=raw).code == 0
    assert len(imported(program)) == 1


def test_absolute_path_outside_the_roots_is_imported(program: Program) -> None:
    elsewhere = job(str(program.folder / "mine/pics/a.png"))
    program.write("job.json", elsewhere)
    root = str(program.folder / "data" / "assets")
    assert program.run("submit", "job.json", PREVIEW_ASSET_ROOTS=root).code == 65
    assert program.run("submit", "job.json", "--import", PREVIEW_ASSET_ROOTS=root).code == 0


def test_submitting_again_is_the_same_job(program: Program) -> None:
    program.write("mine/job.json", job("pics/a.png"))
    program.run("submit", "mine/job.json", "--import")
    done = program.run("submit", "mine/job.json", "--import", "--json")
    assert (done.code, done.json_lines[0]["new"]) == (0, False)


def test_rejected_job_imports_no_files(program: Program) -> None:
    bad = job("pics/a.png", colour="red")
    done = program.run("submit", program.write("mine/job.json", bad), "--import")
    assert done.code == 65
    assert not (program.folder / "data").exists()


def test_import_and_contract_violations_are_reported_together(program: Program) -> None:
    bad = job("pics/never.png", colour="red")
    done = program.run("submit", program.write("mine/job.json", bad), "--import", "--json")
    assert done.code == 65
    assert [(item["pointer"], item["code"]) for item in done.json_lines[0]["violations"]] == [
        ("/previewRequest/assets/0/colour", "unknown-property"),
        ("/previewRequest/assets/0/uri", "import-missing"),
    ]


def test_only_pictures_and_sounds_are_imported(program: Program) -> None:
    done = program.run("submit", program.write("job.json", job("/etc/passwd")), "--import")
    assert done.code == 65
    assert "is not a supported picture or sound" in done.err
    assert "/etc" not in "".join(imported(program))


def test_import_requires_its_folder_in_the_asset_roots(program: Program) -> None:
    program.write("mine/job.json", job("pics/a.png"))
    done = program.run("submit", "mine/job.json", "--import", PREVIEW_ASSET_ROOTS="/srv")
    assert done.code == 2
    assert "is not in PREVIEW_ASSET_ROOTS" in done.err


def test_import_to_unwritable_folder(program: Program, redis_url: str) -> None:
    program.write("data", b"a file where the folder should be")
    done = program.run("submit", program.write("mine/job.json", job("pics/a.png")), "--import")
    assert done.code == 1
    assert "cannot import" in done.err
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists("arq:job:job-1") == 0


def test_copies_to_the_default_folder_are_named(program: Program) -> None:
    program.write("mine/job.json", job("pics/a.png"))
    note = f"note: --import copies to {program.folder / 'data' / 'assets'}; if workers have another DATA_DIR"
    assert note in program.run("submit", "--import", "mine/job.json", DATA_DIR="").err.replace("\n", " ")
    assert "note: --import" not in program.run("submit", "--import", "mine/job.json").err
