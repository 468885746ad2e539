"""The contract of bundle stores, over each of them."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from previewops.bucket_addresses import parse_bucket_address
from previewops.cli import prune
from previewops.cli.program import run
from previewops.errors import (
    ArtifactNotFound,
    ArtifactNotLocal,
    BundleNotFound,
    LinksUnsupported,
    StoreUnavailable,
)
from previewops.job_errors import PermanentJobError, StaleToken, TransientJobError
from previewops.stores.folder.store import FolderStore
from previewops.stores.objects.client import FailureReason, Headers, ObjectStoreFailure, connect
from previewops.stores.objects.store import ObjectStore
from previewops.stores.port import BundleStore, PublishResult
from tests.azure_server import AzureServer
from tests.fault.object_store_proxy import store_proxy
from tests.object_servers import CREDENTIALS, S3Server
from tests.store_support import FILES, JOB, PROJECT, contents, memory_store, put, read, record, stage

OBJECTS = ("memory", "ministack", pytest.param("radosgw", marks=pytest.mark.slow), "azurite")


@pytest.fixture
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], BundleStore]:
    def make(kind: str) -> BundleStore:
        if kind == "folder":
            return FolderStore(tmp_path)
        if kind == "memory":
            return memory_store()
        server: S3Server | AzureServer = request.getfixturevalue(kind)
        return server.make_store()

    return make


@pytest.fixture(params=("folder", *OBJECTS))
def store(request: pytest.FixtureRequest, make_store: Callable[[str], BundleStore]) -> BundleStore:
    return make_store(request.param)


@pytest.fixture(params=OBJECTS)
def objects(request: pytest.FixtureRequest, make_store: Callable[[str], BundleStore]) -> ObjectStore:
    made = make_store(request.param)
    assert isinstance(made, ObjectStore)
    return made


def test_probe_accepts_the_store(store: BundleStore) -> None:
    store.probe()


def test_a_store_has_one_id_whoever_asks_first(store: BundleStore, tmp_path: Path) -> None:
    assert store.identify(create=False) is None
    with ThreadPoolExecutor(8) as workers:
        ids = {future.result() for future in [workers.submit(store.identify, create=True) for _ in range(8)]}
    (store_id,) = ids
    assert store_id is not None
    assert store.identify(create=False) == store_id
    assert [*tmp_path.glob(".id.*")] == [], "drafts are removed"
    put(store, tmp_path, 1, "one")
    assert [bundle.job_id for bundle in store.list_bundles()] == [JOB], "the id is not a bundle"


def test_two_addresses_of_a_bucket_are_one_store_and_two_prefixes_are_two(ministack: S3Server) -> None:
    bucket = ministack.make_bucket()
    by_name = ministack.endpoint.replace("127.0.0.1", "localhost")
    addresses = [
        ministack.address(bucket),
        ministack.address(bucket, endpoint=by_name),
        ministack.address(bucket, "other"),
    ]
    assert by_name != ministack.endpoint
    one, same, other = [
        ObjectStore(parse_bucket_address(address)).identify(create=True) for address in addresses
    ]
    assert one == same != other


def test_an_id_that_somebody_damaged_is_unknown(tmp_path: Path) -> None:
    (tmp_path / ".id").write_text("mine\n")
    assert FolderStore(tmp_path).identify(create=True) is None
    store = memory_store()
    store._client().put("id", b"mine", Headers("text/plain", "no-cache"), expected=None)
    assert store.identify(create=True) is None


def test_a_file_system_without_hard_links_has_an_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(_source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(target))

    monkeypatch.setattr(os, "link", link)
    store_id = FolderStore(tmp_path).identify(create=True)
    assert store_id is not None
    assert FolderStore(tmp_path).identify(create=True) == store_id


def test_a_folder_that_cannot_be_written_fails_its_probe(tmp_path: Path) -> None:
    (tmp_path / ".staging").write_text("in the way")
    with pytest.raises(StoreUnavailable, match="previews cannot be used"):
        FolderStore(tmp_path).probe()
    with pytest.raises(StoreUnavailable, match="No such file"):
        FolderStore(tmp_path / "absent").identify(create=True)


def test_bundles_are_published_and_replaced_in_the_order_of_tokens(
    store: BundleStore, tmp_path: Path
) -> None:
    assert read(store) is None
    first = put(store, tmp_path, 1, "one")
    assert first.result is PublishResult.FIRST
    assert first.location.startswith(store.location)
    assert read(store) == "one"
    assert put(store, tmp_path, 10, "two").result is PublishResult.REPLACED
    assert read(store) == "two"
    with pytest.raises(StaleToken) as caught:
        put(store, tmp_path, 9, "late")
    assert (caught.value.found, caught.value.newest) == (9, 10)
    assert read(store) == "two"
    assert list((tmp_path / ".staging").iterdir()) == []


def test_the_same_bytes_keep_the_files_and_move_the_fence(store: BundleStore, tmp_path: Path) -> None:
    put(store, tmp_path, 1, "one")
    assert put(store, tmp_path, 3, "one").result is PublishResult.UNCHANGED
    assert read(store) == "one"
    with pytest.raises(StaleToken):
        put(store, tmp_path, 2, "late")
    assert put(store, tmp_path, 3, "one").result is PublishResult.UNCHANGED, "the same token again"


def test_files_are_listed_and_opened_and_nothing_else(store: BundleStore, tmp_path: Path) -> None:
    put(store, tmp_path, 1, "one")
    job, expected = record(), contents("one")
    listed = store.manifest(job)
    assert {artifact.name: artifact.bytes for artifact in listed} == {
        name: len(content) for name, content in expected.items()
    }
    for name in ("preview.json", "container.json", "frames/3.webp"):
        opened = store.open(job, name)
        whole = b"".join(opened.stream(0, opened.size))
        assert len(whole) == opened.size
        assert b"".join(opened.stream(3, 17)) == whole[3:17]
        assert b"".join(opened.stream(5, 5)) == b""
        opened.close()
    for name in ("frames/99.webp", "../j/frames/0.webp", "", "frames", "/etc/passwd"):
        with pytest.raises(ArtifactNotFound):
            store.open(job, name)
    with pytest.raises(BundleNotFound):
        store.manifest(record("other"))
    with pytest.raises(BundleNotFound):
        store.open(record("../p/j"), "preview.json")


def test_an_artifact_is_a_file_that_can_seek(store: BundleStore, tmp_path: Path) -> None:
    put(store, tmp_path, 1, "one")
    artifact = store.manifest(record())[0]
    content = contents("one")[artifact.name]
    assert artifact.read() == content
    with artifact.open() as file:
        file.seek(-5, io.SEEK_END)
        assert file.read() == content[-5:]
        file.seek(4)
        assert (file.read(6), file.tell()) == (content[4:10], 10)
        assert file.read(100_000) == content[10:]
        assert file.read() == b""
    found = store.file(record(), artifact.name)
    assert found.size == len(content)
    before = found.identity
    assert put(store, tmp_path, 2, "two").result is PublishResult.REPLACED
    assert store.file(record(), artifact.name).identity != before


def test_bundles_are_listed_and_removed_for_good(store: BundleStore, tmp_path: Path) -> None:
    put(store, tmp_path, 5, "one")
    put(store, tmp_path, 5, "else", "other")
    assert [*store.list_bundles("nobody")] == []
    assert [*store.list_bundles(before_s=time.time() - 3_600)] == []
    listed = {bundle.job_id: bundle for bundle in store.list_bundles(PROJECT, before_s=time.time() + 60)}
    assert set(listed) == {JOB, "other"}
    assert listed[JOB].size_bytes > sum(map(len, contents("one").values()))
    assert abs(listed[JOB].last_used_s - time.time()) < 60
    put(store, tmp_path, 6, "one")
    assert not store.remove(listed[JOB]), "it was published again since it was listed"
    assert read(store) == "one"
    (again,) = [bundle for bundle in store.list_bundles() if bundle.job_id == JOB]
    assert store.remove(again)
    assert store.remove(again), "it is removed already"
    assert read(store) is None
    assert read(store, "other") == "else"
    with pytest.raises(StaleToken):
        put(store, tmp_path, 4, "late")
    assert read(store) is None
    assert put(store, tmp_path, 7, "new").result is PublishResult.FIRST
    assert read(store) == "new"


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a\0b"])
def test_ids_that_lead_elsewhere_are_rejected(tmp_path: Path, name: str) -> None:
    for store in (FolderStore(tmp_path), memory_store()):
        for ids in ((PROJECT, name), (name, JOB)):
            with pytest.raises(PermanentJobError) as caught:
                store.publish(stage(tmp_path, 1, "one"), *ids, token=1)
            assert caught.value.code == "unsafe-path"
            # The folder does not remove it before it knows where it lies.
            stage_left = tmp_path / ".staging" / f"{JOB}.1"
            if stage_left.exists():
                for path in sorted(stage_left.rglob("*"), reverse=True):
                    path.unlink() if path.is_file() else path.rmdir()
                stage_left.rmdir()


def test_a_link_in_a_bundle_is_not_published(store: BundleStore, tmp_path: Path) -> None:
    staging = stage(tmp_path, 1, "one")
    (staging / "frames/9.webp").symlink_to("/etc/passwd")
    with pytest.raises(TransientJobError) as caught:
        store.publish(staging, PROJECT, JOB, token=1)
    assert caught.value.code == "data-dir-unusable"
    assert read(store) is None


def test_a_folder_has_paths_and_no_links(tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    put(store, tmp_path, 1, "one")
    artifact = store.manifest(record())[0]
    assert artifact.file.read_bytes() == artifact.read()
    with pytest.raises(LinksUnsupported):
        artifact.url()


def test_objects_have_no_paths(objects: ObjectStore, tmp_path: Path) -> None:
    put(objects, tmp_path, 1, "one")
    with pytest.raises(ArtifactNotLocal, match="have no path"):
        _ = objects.manifest(record())[0].file


@pytest.mark.parametrize("kind", OBJECTS[1:])
def test_links_serve_the_file_with_its_type_to_anybody(
    kind: str, make_store: Callable[[str], BundleStore], tmp_path: Path
) -> None:
    store = make_store(kind)
    put(store, tmp_path, 1, "one")
    artifact = store.manifest(record())[0]
    response = httpx.get(artifact.url(seconds=60))
    assert response.status_code == 200, response.text
    assert response.content == artifact.read()
    assert response.headers["content-type"] == "image/webp"
    assert response.headers["cache-control"] == "private, max-age=31536000, immutable"
    with pytest.raises(ArtifactNotFound):
        store.signed_urls(record(), ["absent.webp"], seconds=60)


def test_a_link_takes_less_than_a_millisecond_of_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    client = connect(parse_bucket_address("s3://bucket/prefix?endpoint=http://127.0.0.1:9&region=us-east-1"))
    began = time.process_time()
    links = {client.sign(f"previews/p/j/1-00000000/frames/{number}.webp", 60) for number in range(1_000)}
    assert time.process_time() - began < 1
    assert len(links) == 1_000


def test_a_store_in_memory_has_no_links(tmp_path: Path) -> None:
    store = memory_store()
    put(store, tmp_path, 1, "one")
    with pytest.raises(LinksUnsupported):
        store.manifest(record())[0].url()


def test_replaced_files_are_swept_after_the_grace(objects: ObjectStore, tmp_path: Path) -> None:
    put(objects, tmp_path, 1, "one")
    reader = objects.manifest(record())[0].open()
    put(objects, tmp_path, 2, "two")
    assert objects.sweep(time.time()) == 0
    assert reader.read() == contents("one")["frames/0.webp"], "readers have the grace to finish"
    assert objects.sweep(time.time() + 3_600) == 1
    assert objects.sweep(time.time() + 3_600) == 0
    assert objects.leftovers(before_s=time.time() + 60).sizes == {}
    assert read(objects) == "two"


def test_a_sweep_that_fails_goes_on_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = memory_store()
    for token in range(1, 5):
        put(store, tmp_path, token, str(token))
    client = store._client()
    with monkeypatch.context() as broken:

        def fail(_paths: object) -> None:
            raise ObjectStoreFailure(FailureReason.UNAVAILABLE, "why")

        broken.setattr(client, "delete", fail)
        with pytest.raises(StoreUnavailable):
            store.sweep(time.time() + 3_600)
    assert store.sweep(time.time() + 7_200) == 3


def test_leftovers_of_dead_attempts_are_found_and_can_no_longer_be_published(
    objects: ObjectStore, tmp_path: Path
) -> None:
    """An attempt is frozen between its upload and the pointer, until its files are swept."""

    def sweep_behind_it(step: str) -> None:
        if step == "uploaded":
            leftovers = objects.leftovers(before_s=time.time() + 60)
            assert len(leftovers.sizes) == 1
            assert leftovers.remove() == 1

    with pytest.raises(StaleToken):
        objects.publish(stage(tmp_path, 3, "frozen"), PROJECT, JOB, token=3, on_step=sweep_behind_it)
    assert read(objects) is None
    assert put(objects, tmp_path, 4, "next").result is PublishResult.FIRST
    with pytest.raises(StaleToken):
        objects.publish(stage(tmp_path, 6, "frozen"), PROJECT, JOB, token=6, on_step=sweep_behind_it)
    assert read(objects) == "next"
    assert put(objects, tmp_path, 7, "last").result is PublishResult.REPLACED
    assert read(objects) == "last"


def test_replaced_files_of_a_worker_that_ended_are_found_by_the_next_prune(
    objects: ObjectStore, tmp_path: Path
) -> None:
    """Only the worker that replaced them would sweep them, and it has forgotten."""
    put(objects, tmp_path, 1, "one")
    put(objects, tmp_path, 2, "two")
    put(objects, tmp_path, 1, "other", "other")
    another = ObjectStore(objects._address, make_client=lambda _address: objects._client())
    assert another.sweep(time.time() + 3_600) == 0
    assert another.leftovers(before_s=time.time() - 3_600).sizes == {}, "readers have days to finish"
    leftovers = another.leftovers(before_s=time.time() + 60)
    (path,) = leftovers.sizes
    assert path.startswith(f"previews/{PROJECT}/{JOB}/1-")
    assert leftovers.remove() == 1
    assert (read(another), read(another, "other")) == ("two", "other")
    assert another.leftovers(before_s=time.time() + 60).sizes == {}


def test_prune_removes_replaced_files_without_being_asked_for_bundles(
    ministack: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    address = ministack.address(ministack.make_bucket())
    store = ObjectStore(parse_bucket_address(address))
    put(store, tmp_path, 1, "one")
    put(store, tmp_path, 2, "two")
    monkeypatch.setenv("PREVIEW_STORE", address)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert run(["prune", "--apply", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leftovers"]["count"] == 0, "they are younger than two days"
    monkeypatch.setattr(prune, "LEFTOVER_AGE_S", -60)
    assert run(["prune", "--apply", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["leftovers"]["count"] == 1
    assert store.leftovers(before_s=time.time() + 60).sizes == {}
    assert read(store) == "two"


def test_a_damaged_bundle_is_repaired_by_the_same_bytes(objects: ObjectStore, tmp_path: Path) -> None:
    location = put(objects, tmp_path, 1, "one").location
    client = objects._client()
    lost = location.removeprefix(objects.location + "/") + "/frames/3.webp"
    client.delete([lost])
    with pytest.raises(BundleNotFound):
        read(objects)
    assert put(objects, tmp_path, 2, "one").result is PublishResult.REPLACED
    assert read(objects) == "one"
    client.delete([f"previews/{PROJECT}/{JOB}/nothing"])


@pytest.mark.parametrize("files", [FILES, 1_000])
def test_a_first_bundle_takes_two_requests_more_than_it_has_files(tmp_path: Path, files: int) -> None:
    store = memory_store()
    store.probe()
    requests: list[str] = []
    client = store._client()

    class Counting:
        unquoted_etags = False

        def __getattr__(self, name: str) -> object:
            method = getattr(client, name)

            def call(*args: object, **options: object) -> object:
                requests.append(name)
                return method(*args, **options)

            return call

    store._connected = Counting()  # type: ignore[assignment]
    store.publish(stage(tmp_path, 1, "one", files=files), PROJECT, JOB, token=1)
    assert len(requests) == (files + 2) + 2
    requests.clear()
    assert len(store.manifest(record())) == files
    assert len(requests) == 2


async def test_requests_of_publication_listing_and_links_on_the_wire(
    tmp_path: Path, ministack: S3Server
) -> None:
    async with store_proxy(ministack.endpoint) as proxy:
        address = ministack.address(ministack.make_bucket(), endpoint=proxy.endpoint)
        store = ObjectStore(parse_bucket_address(address))
        await asyncio.to_thread(store.probe)
        proxy.requests.clear()
        await asyncio.to_thread(put, store, tmp_path, 1, "one")
        assert proxy.count() == {"PUT": FILES + 2 + 1, "GET": 1}
        reader = ObjectStore(parse_bucket_address(address))
        proxy.requests.clear()
        listed = await asyncio.to_thread(reader.manifest, record())
        assert proxy.count() == {"GET": 2}
        proxy.requests.clear()
        names = [artifact.name for artifact in listed]
        await asyncio.to_thread(reader.signed_urls, record(), names, seconds=60)
        assert proxy.count() == {"GET": 1}, "only the pointer is read again"


def test_an_erased_bundle_is_gone_and_closed_for_earlier_attempts(store: BundleStore, tmp_path: Path) -> None:
    put(store, tmp_path, 1, "one")
    put(store, tmp_path, 3, "three")
    put(store, tmp_path, 1, "other", "j.2")
    manifest = store.read_manifest(PROJECT, JOB)
    assert manifest is not None
    assert json.loads(manifest)["version"] == 1
    assert store.erase(PROJECT, JOB, fence=5) is True
    assert (read(store), store.read_manifest(PROJECT, JOB)) == (None, None)
    assert read(store, "j.2") == "other", "a job whose id begins alike stays"
    with pytest.raises(StaleToken):
        put(store, tmp_path, 4, "late")
    assert read(store) is None
    assert [bundle.job_id for bundle in store.list_bundles()] == ["j.2"]
    assert store.erase(PROJECT, JOB, fence=2) is False, "a repetition does nothing, and opens nothing"
    with pytest.raises(StaleToken):
        put(store, tmp_path, 5, "late")
    put(store, tmp_path, 6, "again")
    assert read(store) == "again"


def test_a_job_that_never_published_can_be_erased(store: BundleStore, tmp_path: Path) -> None:
    staging = stage(tmp_path, 2, "unpublished")
    kept = stage(tmp_path, 2, "unpublished", "j.2")
    assert store.erase(PROJECT, JOB, fence=2) is False
    if isinstance(store, FolderStore):
        assert (staging.exists(), kept.exists()) == (False, True)
    with pytest.raises(StaleToken):
        put(store, tmp_path, 1, "late")


def test_no_file_of_any_attempt_stays_in_the_bucket(objects: ObjectStore, tmp_path: Path) -> None:
    put(objects, tmp_path, 1, "one")
    put(objects, tmp_path, 2, "two")
    late = Headers("image/webp", "private")
    for path in ("previews/p/j/3-late/poster.webp", "previews/p/j/9-new/poster.webp"):
        objects._client().put(path, b"x", late, expected=None)
    objects.erase(PROJECT, JOB, fence=5)
    left = [listed.path for listed in objects._client().list_all("previews/p/j")]
    assert left == ["previews/p/j/9-new/poster.webp"], "that of an attempt that began afterwards"
