"""Bundles and stores for tests of the port ``BundleStore``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from obstore.store import MemoryStore

from previewops.bucket_addresses import parse_bucket_address
from previewops.errors import BundleNotFound
from previewops.queue.records import JobRecord
from previewops.states import JobState
from previewops.stores.objects.client import ObstoreClient
from previewops.stores.objects.store import ObjectStore
from previewops.stores.port import BundleStore, Publication
from previewops.stores.staging import staging_path
from tests.tui import scenes

FILES = 6
PROJECT, JOB = "p", "j"


def memory_store(objects: MemoryStore | None = None, **options: float) -> ObjectStore:
    """A store in memory; two stores over the same ``objects`` are two processes with one bucket."""
    objects = objects or MemoryStore()
    return ObjectStore(
        parse_bucket_address("s3://memory/some/prefix"),
        make_client=lambda _address: ObstoreClient(objects),
        **options,
    )


def record(job_id: str = JOB, project_id: str = PROJECT) -> JobRecord:
    """The record of a completed job."""
    job = scenes.record(job_id, JobState.COMPLETED, result={"bundle": "elsewhere"})
    return scenes.replace(job, project_id=project_id)


def contents(text: str, files: int = FILES) -> dict[str, bytes]:
    """The listed files of the bundle ``text``; all contain it."""
    return {f"frames/{number}.webp": f"{text} {number}".encode() * 50 for number in range(files)}


def stage(folder: Path, token: int, text: str, job_id: str = JOB, *, files: int = FILES) -> Path:
    """A rendered bundle in a staging folder."""
    staging = staging_path(folder, job_id, token)
    (staging / "frames").mkdir(parents=True)
    entries = []
    for name, content in contents(text, files).items():
        (staging / name).write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        entries.append({"path": name, "bytes": len(content), "sha256": digest, "mediaType": "image/webp"})
    (staging / "preview.json").write_text(json.dumps({"text": text, "token": token}))
    (staging / "container.json").write_text(json.dumps({"version": 1, "files": entries}))
    return staging


def put(store: BundleStore, folder: Path, token: int, text: str, job_id: str = JOB) -> Publication:
    """Stages and publishes a bundle."""
    return store.publish(stage(folder, token, text, job_id), PROJECT, job_id, token=token)


def read(store: BundleStore, job_id: str = JOB) -> str | None:
    """The text of the bundle, None if there is none. Fails on a partial or mixed bundle."""
    job = record(job_id)
    try:
        artifacts = {artifact.name: artifact for artifact in store.manifest(job)}
    except BundleNotFound as error:
        if type(error) is BundleNotFound and "differs" not in error.message:
            return None
        raise
    assert len(artifacts) == FILES
    digests = {name: hashlib.sha256(artifact.read()).hexdigest() for name, artifact in artifacts.items()}
    assert digests == {name: artifact.sha256 for name, artifact in artifacts.items()}
    return artifacts["frames/0.webp"].read().split(b" ")[0].decode()
