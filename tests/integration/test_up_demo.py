"""`previewops up --demo` without configured Redis or terminal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from previewops.bucket_addresses import parse_bucket_address
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.dead_letters import DeadLetters
from previewops.redis_server.connection import connect
from previewops.redis_server.embedded import EmbeddedRedis
from previewops.settings import Settings
from previewops.snapshot.reader import SnapshotReader
from previewops.stores.objects.store import ObjectStore
from tests.fault.cluster import check_bundle, check_stored_bundle
from tests.object_servers import CREDENTIALS, S3Server
from tests.store_support import record

PROGRAM = [sys.executable, "-m", "previewops"]
PICTURES = {".webp", ".png", ".jpg", ".jpeg", ".gif", ".apng"}


def clean_environment(data_dir: Path) -> dict[str, str]:
    ours = ("REDIS_", "PREVIEW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "DATA_DIR": str(data_dir)}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """Runs the demo once; returns its folder and completed process."""
    folder = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        [*PROGRAM, "up", "--demo"],
        cwd=folder,
        env=clean_environment(folder / "data"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return folder, run


def processes_of(folder: Path) -> list[psutil.Process]:
    result = []
    for process in psutil.process_iter():
        try:
            if str(folder) in process.environ().get("DATA_DIR", ""):
                result.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return result


def test_demo_succeeds_with_a_summary(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, run = demo
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert "9 of 11 jobs completed" in run.stdout
    assert "2 dead letters" in run.stdout
    assert "previewops dlq list" in run.stdout
    named = next(line.split()[-1] for line in run.stdout.splitlines() if line.startswith("Open"))
    assert (folder / named).is_file()


def test_demo_leaves_no_process(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = demo
    assert processes_of(folder) == []


def test_every_bundle_is_complete_and_every_picture_opens(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demo
    bundles = sorted((folder / "data/previews/nine-mens-morris").iterdir())
    assert len(bundles) == 8, "nine completed, one of them a dry run"
    for bundle in bundles:
        check_bundle(bundle)
        pictures = [path for path in bundle.rglob("*") if path.suffix in PICTURES]
        assert len(pictures) >= 3
        for path in pictures:
            with Image.open(path) as image:
                image.load()
        about = json.loads((bundle / "preview.json").read_text("utf-8"))
        assert about["jobId"] == bundle.name
    formats = {path.suffix for bundle in bundles for path in bundle.glob("animation.*")}
    assert formats == {".webp", ".gif", ".apng", ".webm", ".mp4"}


def test_demo_data_survives_a_restart(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, _ = demo
    settings = Settings(data_dir=folder / "data")

    async def read_counters() -> None:
        async with EmbeddedRedis(settings.data_dir) as server:
            redis = connect(server.url, role="test")
            try:
                snapshot = await SnapshotReader(redis, settings).read()
                dead = await DeadLetters(redis, settings).newest(DeadLetterFilter(), limit=10)
            finally:
                await redis.aclose()
        assert (snapshot.counters["completed"], snapshot.dead, snapshot.pending) == (9, 2, 0)
        assert snapshot.unaccounted == 0
        assert snapshot.counters["retried"] >= 1, "one job was healed by a retry"
        assert {record.code for record in dead} == {"asset-missing", "asset-corrupt"}

    asyncio.run(read_counters())


@pytest.mark.parametrize("kind", ["ministack", pytest.param("radosgw", marks=pytest.mark.slow)])
def test_the_demo_runs_over_a_bucket(tmp_path: Path, request: pytest.FixtureRequest, kind: str) -> None:
    server: S3Server = request.getfixturevalue(kind)
    address = server.address(server.make_bucket())
    run = subprocess.run(
        [*PROGRAM, "up", "--demo"],
        cwd=tmp_path,
        env={**clean_environment(tmp_path / "data"), **CREDENTIALS, "PREVIEW_STORE": address},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stderr == ""
    assert "9 of 11 jobs completed" in run.stdout
    assert not (tmp_path / "data" / "previews").exists()
    store = ObjectStore(parse_bucket_address(address))
    bundles = [*store.list_bundles()]
    assert len(bundles) == 8
    assert f"Bundles    {store.location}/previews/nine-mens-morris" in run.stdout
    for bundle in bundles:
        check_stored_bundle(store, record(bundle.job_id, bundle.project_id))
