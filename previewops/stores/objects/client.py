"""The few operations on objects that stores need, with typed failures; by obstore, which is imported late."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from previewops.bucket_addresses import BucketAddress
from previewops.errors import StoreRejected

if TYPE_CHECKING:
    from obstore import UpdateVersion

CONNECT_TIMEOUT_S = 5
REQUEST_TIMEOUT_S = 30
"""Time in seconds for one request, its content included."""
MAX_RETRIES = 4
RETRY_TIMEOUT_S = 20
"""Time in seconds after which a failed request is not repeated."""

MULTIPART_BYTES = 16 * 1024 * 1024
"""Larger files are uploaded in parts, so that 16 concurrent uploads stay small in memory."""
STREAM_CHUNK_BYTES = 262_144
_LIST_CHUNK = 1_000
_REASON_CHARS = 300


class FailureReason(StrEnum):
    """Why the store cannot be used."""

    UNAVAILABLE = "unavailable"  # no answer, an error of the service, or overload
    DENIED = "denied"  # credentials are missing, expired or insufficient
    MISSING = "missing"  # the bucket does not exist
    UNSUPPORTED = "unsupported"  # the service lacks the operation


class ObjectStoreFailure(Exception):
    """The store cannot be used. An operation that failed may nevertheless have been executed."""

    def __init__(self, reason: FailureReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class ConditionFailed(Exception):
    """The object is not in the state that a conditional write expects."""


class ObjectMissing(Exception):
    """There is no such object."""


@dataclass(frozen=True, slots=True)
class ObjectVersion:
    """The state of an object, for a conditional write: ETag as the server sent it, generation on some services."""

    etag: str | None
    generation: str | None = None


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing: path below the root, length in bytes, time of its last change (s since the epoch)."""

    path: str
    size: int
    modified_s: float
    version: ObjectVersion


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers that an object is served with."""

    media_type: str
    cache_control: str


class ObjectClient(Protocol):
    """Objects below a root, by path. Every call blocks, and may raise ``ObjectStoreFailure``."""

    unquoted_etags: bool
    """Whether If-Match has to be sent without the quotes of the ETag. Set by the probe."""

    def get(self, path: str) -> tuple[bytes, ObjectVersion]:
        """Content and version of a small object. Raises ObjectMissing."""

    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]:
        """Requests the bytes from ``start`` to before ``end``; returns them in parts. Raises ObjectMissing."""

    def upload(self, path: str, file: Path, headers: Headers) -> None:
        """Writes the content of a file."""

    def put(self, path: str, content: bytes, headers: Headers, *, expected: ObjectVersion | None) -> None:
        """Writes ``content`` if the object has the version ``expected``; None: if it does not exist.

        Raises:
            ConditionFailed: it has another.
        """

    def list_all(self, folder: str) -> Iterator[ListedObject]:
        """All objects below a folder."""

    def list_level(self, folder: str) -> tuple[list[str], list[ListedObject]]:
        """Names of the folders, and the objects, directly in a folder."""

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes objects; those that do not exist are skipped."""

    def sign(self, path: str, seconds: int) -> str | None:
        """An address from which anybody can download the object for ``seconds``; None where there are none."""


def connect(address: BucketAddress, *, brief: bool = False) -> ObstoreClient:
    """Returns a client with the credentials of the provider's own chain: environment, web identity, instance.

    With ``brief`` it gives up after about a second, for health checks.

    Raises:
        StoreRejected: obstore is not installed, or it does not accept the address.
    """
    try:
        import obstore.store as kinds  # noqa: PLC0415 - an optional dependency
    except ModuleNotFoundError as error:
        if error.name not in ("obstore", "obstore.store"):
            raise
        raise StoreRejected(
            f"found the bucket {address}, but the module obstore is not installed",
            hint="install it: pip install 'previewops[objects]'",
        ) from error
    options: dict[str, Any] = {
        "client_options": {
            "connect_timeout": timedelta(seconds=1 if brief else CONNECT_TIMEOUT_S),
            "timeout": timedelta(seconds=1 if brief else REQUEST_TIMEOUT_S),
            "allow_http": (address.endpoint or "").startswith("http://"),
        },
        "retry_config": {
            "max_retries": 0 if brief else MAX_RETRIES,
            "retry_timeout": timedelta(seconds=RETRY_TIMEOUT_S),
            "backoff": {
                "init_backoff": timedelta(milliseconds=100),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        },
        **({"prefix": address.prefix} if address.prefix else {}),
    }
    try:
        if address.scheme == "gs":
            base = {"base_url": address.endpoint} if address.endpoint else {}
            return ObstoreClient(kinds.GCSStore(address.bucket, **{**options, **base}))
        config = {"endpoint": address.endpoint} if address.endpoint else {}
        if address.scheme == "az":
            return ObstoreClient(kinds.AzureStore(address.bucket, **{**options, **config}))
        if address.region:
            config["region"] = address.region
        return ObstoreClient(kinds.S3Store(address.bucket, **{**options, **config}))
    except Exception as error:  # obstore has no common class for errors of its configuration
        raise StoreRejected(
            f"the bucket {address} is not usable: {_first_line(error)}",
            hint="correct PREVIEW_STORE or PREVIEW_ASSET_BUCKETS, and the provider's environment variables",
        ) from error


class ObstoreClient:
    """``ObjectClient`` over an obstore store."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.unquoted_etags = False

    def get(self, path: str) -> tuple[bytes, ObjectVersion]:
        """See ``ObjectClient.get``."""
        import obstore  # noqa: PLC0415 - an optional dependency

        with _typed_errors(path):
            result = obstore.get(self._store, path)
            return bytes(result.bytes()), _version(result.meta)

    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]:
        """See ``ObjectClient.stream``."""
        import obstore  # noqa: PLC0415

        if start >= end:
            return iter(())
        with _typed_errors(path):
            result = obstore.get(self._store, path, options={"range": (start, end)})
        return _parts(path, result.stream(min_chunk_size=STREAM_CHUNK_BYTES))

    def head(self, path: str) -> ListedObject:
        """Describes an object. Raises ObjectMissing."""
        import obstore  # noqa: PLC0415

        with _typed_errors(path):
            return _listed(obstore.head(self._store, path))

    def open_object(self, path: str) -> tuple[ListedObject, Iterator[bytes]]:
        """Requests an object; returns what it is and its content in parts. Raises ObjectMissing."""
        import obstore  # noqa: PLC0415

        with _typed_errors(path):
            result = obstore.get(self._store, path)
            return _listed(result.meta), _parts(path, result.stream(min_chunk_size=STREAM_CHUNK_BYTES))

    def upload(self, path: str, file: Path, headers: Headers) -> None:
        """See ``ObjectClient.upload``."""
        import obstore  # noqa: PLC0415

        large = file.stat().st_size > MULTIPART_BYTES
        content: Path | bytes = file if large else file.read_bytes()
        with _typed_errors(path, writing=True):
            obstore.put(self._store, path, content, attributes=_attributes(headers), use_multipart=large)

    def put(self, path: str, content: bytes, headers: Headers, *, expected: ObjectVersion | None) -> None:
        """See ``ObjectClient.put``."""
        import obstore  # noqa: PLC0415

        with _typed_errors(path, writing=True):
            obstore.put(
                self._store,
                path,
                content,
                attributes=_attributes(headers),
                mode="create" if expected is None else self._condition(expected),
                use_multipart=False,
            )

    def _condition(self, expected: ObjectVersion) -> UpdateVersion:
        condition: UpdateVersion = {}
        if expected.etag is not None:
            condition["e_tag"] = expected.etag.strip('"') if self.unquoted_etags else expected.etag
        if expected.generation is not None:
            condition["version"] = expected.generation
        return condition

    def list_all(self, folder: str) -> Iterator[ListedObject]:
        """See ``ObjectClient.list_all``."""
        import obstore  # noqa: PLC0415

        with _typed_errors(folder):
            for batch in obstore.list(self._store, folder, chunk_size=_LIST_CHUNK):
                yield from map(_listed, batch)

    def list_level(self, folder: str) -> tuple[list[str], list[ListedObject]]:
        """See ``ObjectClient.list_level``."""
        import obstore  # noqa: PLC0415

        with _typed_errors(folder):
            result = obstore.list_with_delimiter(self._store, folder)
        names = [path.rstrip("/").rpartition("/")[2] for path in result["common_prefixes"]]
        return names, [_listed(meta) for meta in result["objects"]]

    def delete(self, paths: Iterable[str]) -> None:
        """See ``ObjectClient.delete``."""
        import obstore  # noqa: PLC0415

        if chosen := [*paths]:
            try:
                with _typed_errors(""):
                    obstore.delete(self._store, chosen)
            except ObjectMissing:
                for path in chosen:
                    _delete_one(self._store, path)

    def sign(self, path: str, seconds: int) -> str | None:
        """See ``ObjectClient.sign``."""
        import obstore  # noqa: PLC0415

        try:
            with _typed_errors(path):
                return obstore.sign(self._store, "GET", path, timedelta(seconds=seconds))
        except (TypeError, ValueError):  # a store in memory
            return None


def _delete_one(store: Any, path: str) -> None:
    import obstore  # noqa: PLC0415

    try:
        with _typed_errors(path):
            obstore.delete(store, path)
    except ObjectMissing:
        return


def _parts(path: str, stream: Iterable[bytes]) -> Iterator[bytes]:
    with _typed_errors(path):
        for part in stream:
            yield bytes(part)


def _attributes(headers: Headers) -> dict[str, str]:
    return {"Content-Type": headers.media_type, "Cache-Control": headers.cache_control}


def _version(meta: Any) -> ObjectVersion:
    return ObjectVersion(meta["e_tag"], meta["version"])


def _listed(meta: Any) -> ListedObject:
    return ListedObject(meta["path"], meta["size"], meta["last_modified"].timestamp(), _version(meta))


@contextmanager
def _typed_errors(path: str, *, writing: bool = False) -> Iterator[None]:
    from obstore import exceptions as kinds  # noqa: PLC0415 - an optional dependency

    try:
        yield
    except (kinds.PreconditionError, kinds.AlreadyExistsError) as error:
        raise ConditionFailed(path) from error
    except (kinds.NotFoundError, FileNotFoundError) as error:
        if writing or "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise ObjectStoreFailure(FailureReason.MISSING, "the bucket does not exist") from error
        raise ObjectMissing(path) from error
    except (kinds.PermissionDeniedError, kinds.UnauthenticatedError, PermissionError) as error:
        raise ObjectStoreFailure(FailureReason.DENIED, _first_line(error)) from error
    except kinds.NotSupportedError as error:
        raise ObjectStoreFailure(FailureReason.UNSUPPORTED, _first_line(error)) from error
    except (kinds.BaseError, OSError) as error:
        raise ObjectStoreFailure(_reason(str(error)), _first_line(error)) from error


def _reason(text: str) -> FailureReason:
    """Why an error that obstore gives no class of its own occurred."""
    if "NotImplemented" in text or "501 Not Implemented" in text:
        return FailureReason.UNSUPPORTED
    credentials = (
        "InvalidAccessKeyId",
        "ExpiredToken",
        "InvalidToken",
        "credential",
        "169.254.169.254",  # the instance has none
        "Forbidden",
        "Unauthorized",
    )
    return FailureReason.DENIED if any(word in text for word in credentials) else FailureReason.UNAVAILABLE


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:_REASON_CHARS]
