"""Assets from buckets: allowed ones are fetched once a job; imported files go into the store's bucket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import obstore
import pytest
from obstore.store import MemoryStore
from PIL import Image

from previewops.bucket_addresses import parse_bucket_address
from previewops.contract import AssetPolicy, BucketUri, UriNotAllowed, parse_uri
from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.settings import Settings
from previewops.stores.objects.client import FailureReason, ObjectStoreFailure, ObstoreClient
from previewops.worker.assets.buckets import BucketFetcher
from previewops.worker.assets.download_cache import DownloadCache
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from tests.integration.cli_program import Program, payload
from tests.object_servers import CREDENTIALS, S3Server

MEDIA = parse_bucket_address("s3://media/lessons")
URI = "s3://media/lessons/a b/ü.png"
LIMIT = 1_000


class CountingClient(ObstoreClient):
    """Counts requests for objects."""

    requests = 0

    def open_object(self, path: str) -> object:  # type: ignore[override]
        self.requests += 1
        return super().open_object(path)


@pytest.fixture
def objects() -> MemoryStore:
    store = MemoryStore()
    obstore.put(store, "lessons/a b/ü.png", b"pixels")
    obstore.put(store, "secret/a.png", b"secret")
    return store


@pytest.fixture
def client(objects: MemoryStore) -> CountingClient:
    return CountingClient(objects)


@pytest.fixture
def opener(client: CountingClient, tmp_path: Path) -> Iterator[FileAssetOpener]:
    fetcher = BucketFetcher((MEDIA,), make_client=lambda _address: client)
    with closing(DownloadCache(None, buckets=fetcher, total_bytes=2 * LIMIT, spool=tmp_path)) as downloads:
        yield FileAssetOpener((), downloads)


def test_an_object_is_fetched_once_and_known_by_its_etag(
    opener: FileAssetOpener, client: CountingClient, objects: MemoryStore
) -> None:
    first = opener.open(AssetRef("a", URI), max_bytes=LIMIT)
    again = opener.open(AssetRef("a", URI), max_bytes=LIMIT)
    assert (first.file.read(), again.file.read()) == (b"pixels", b"pixels")
    assert client.requests == 1
    scheme, bucket, key, etag, size = first.identity
    assert (scheme, bucket, key, size) == ("s3", "media", "lessons/a b/ü.png", 6)
    assert first.mtime_s is not None
    obstore.put(objects, "lessons/a b/ü.png", b"others")
    changed = opener.open(AssetRef("other id", URI), max_bytes=LIMIT)
    assert changed.identity[3] != etag
    for opened in (first, again, changed):
        opened.file.close()


def open_error(opener: FileAssetOpener, uri: str) -> JobError:
    with pytest.raises(JobError) as caught:
        opener.open(AssetRef("a", uri), max_bytes=LIMIT)
    return caught.value


def test_other_buckets_and_prefixes_are_rejected_and_missing_objects_named(opener: FileAssetOpener) -> None:
    for uri in (
        "s3://media/secret/a.png",
        "s3://media/lessonsX/a.png",
        "gs://media/lessons/a.png",
        "s3://other/lessons/a",
    ):
        error = open_error(opener, uri)
        assert (error.code, type(error)) == ("asset-host-refused", PermanentJobError)
    assert open_error(opener, "s3://media/lessons/none.png").code == "asset-missing"
    assert open_error(opener, "s3://media/lessons/../secret/a.png").code == "asset-uri-unsupported"
    assert open_error(opener, "https://example.org/a.png").code == "asset-uri-unsupported"


def test_sizes_are_limited_for_a_file_and_for_the_job(opener: FileAssetOpener, objects: MemoryStore) -> None:
    for number, size in enumerate((LIMIT + 1, LIMIT, LIMIT)):
        obstore.put(objects, f"lessons/{number}", bytes(size))
    assert open_error(opener, "s3://media/lessons/0").code == "asset-too-large"
    for number in (1, 2):
        opener.open(AssetRef(str(number), f"s3://media/lessons/{number}"), max_bytes=LIMIT).file.close()
    assert open_error(opener, URI).code == "fetched-too-large"


@pytest.mark.parametrize(
    ("reason", "code", "kind"),
    [
        (FailureReason.UNAVAILABLE, "asset-unreachable", TransientJobError),
        (FailureReason.DENIED, "asset-unreachable", TransientJobError),
        (FailureReason.MISSING, "asset-missing", PermanentJobError),
    ],
)
def test_failures_of_a_bucket_are_typed(
    opener: FileAssetOpener,
    client: CountingClient,
    monkeypatch: pytest.MonkeyPatch,
    reason: FailureReason,
    code: str,
    kind: type[JobError],
) -> None:
    def fail(_path: str) -> None:
        raise ObjectStoreFailure(reason, "why")

    monkeypatch.setattr(client, "open_object", fail)
    error = open_error(opener, URI)
    assert (error.code, type(error)) == (code, kind)


@pytest.mark.parametrize(
    "uri",
    ["s3://", "s3://media", "s3://media/", "s3:///key", "s3://media//key", "s3://media/a/./b", "s3://media/a/../b",
     "s3:media/a", "s3://key:secret@media/a", "s3://Media/a", "s3://media/a\nb", "gs://media/" + "x" * 1_025],
)  # fmt: skip
def test_malformed_addresses_are_rejected(uri: str) -> None:
    with pytest.raises(UriNotAllowed) as caught:
        parse_uri(uri)
    assert caught.value.code == "uri-malformed"


def test_a_policy_allows_what_is_below_its_prefixes() -> None:
    policy = AssetPolicy((), buckets=(MEDIA, parse_bucket_address("az://all")))
    for uri in (URI, "az://all/any"):
        policy.check(BucketUri(*parse_uri(uri)))  # type: ignore[misc, arg-type]
    with pytest.raises(UriNotAllowed, match="s3://media/lessons, az://all") as caught:
        policy.check(BucketUri("s3", "media", "lessons"))
    assert caught.value.code == "uri-host"


def test_the_assets_of_the_store_are_always_allowed() -> None:
    settings = Settings.from_env(
        {"PREVIEW_STORE": "s3://store/p", "PREVIEW_ASSET_BUCKETS": "gs://one, az://two/x"}
    )
    assert [str(bucket) for bucket in settings.effective_asset_buckets] == [
        "gs://one",
        "az://two/x",
        "s3://store/p/assets",
    ]
    assert Settings().effective_asset_buckets == ()


@pytest.mark.redis
def test_imported_files_and_bundles_go_through_the_bucket(
    redis_url: str, tmp_path: Path, ministack: S3Server
) -> None:
    """Submitted from one folder, rendered by a worker that has another DATA_DIR."""
    bucket = ministack.make_bucket()
    env = {**CREDENTIALS, "PREVIEW_STORE": ministack.address(bucket)}
    submitter, worker = (Program(tmp_path / name, redis_url, env=env) for name in ("submitter", "worker"))
    for program in (submitter, worker):
        program.folder.mkdir()
    picture = BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(picture, "PNG")
    (submitter.folder / "a.png").write_bytes(picture.getvalue())
    job = payload("job")
    job["previewRequest"]["assets"] = [{"id": "a", "uri": "a.png"}]
    job["previewRequest"]["steps"] = [{"assetIds": ["a"]}]
    (submitter.folder / "job.json").write_text(json.dumps(job))
    for _ in range(2):
        done = submitter.run("submit", str(submitter.folder / "job.json"), "--import", "--json")
        assert done.code == 0, done.err
    assert not (submitter.folder / "data" / "assets").exists()
    done = worker.run("worker", "--burst", DATA_DIR=str(worker.folder / "data"))
    assert done.code == 0, done.err
    status = submitter.run("status", "job", "--json").json
    assert status["status"] == "completed", status
    assert status["result"]["bundle"].startswith(f"s3://{bucket}/some/prefix/previews/")
    assert not (worker.folder / "data" / "previews").exists()
    pruned = submitter.run("prune", "--bundles", "0s", "--apply", "--json").json
    assert pruned["bundles"]["count"] == 1
    assert pruned["leftovers"] == {"count": 0, "bytes": 0}
    assert submitter.run("prune", "--bundles", "0s", "--json").json["bundles"]["count"] == 0
