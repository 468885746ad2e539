"""Racing publications over one bucket: crashes, failures and lost replies at any request, in any order."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from obstore.store import MemoryStore

from previewops.bucket_addresses import parse_bucket_address
from previewops.errors import BundleNotFound, BundleReplaced, BundleUnreadable, StoreUnavailable
from previewops.job_errors import StaleToken, TransientJobError
from previewops.stores.objects import publisher
from previewops.stores.objects.client import (
    FailureReason,
    Headers,
    ListedObject,
    ObjectStoreFailure,
    ObjectVersion,
    ObstoreClient,
)
from previewops.stores.objects.pointer import Pointer, parse_pointer
from previewops.stores.objects.store import ObjectStore
from tests.store_support import JOB, PROJECT, read, record, stage

FAR_FUTURE_S = 1e12
BURSTS = (1, 1, 2, 4, 7, 8, 60)
"""Requests that a process executes in a row; 7 upload a bundle but for its pointer, 60 are all that it has."""
DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
# Without shrinking, which takes minutes here: the printed draws are the sequence.
CHOSEN = settings(
    deadline=None,
    max_examples=2_000 if DEEP else 60,
    derandomize=not DEEP,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
PATIENCE_S = 60.0


class Fate(Enum):
    """What happens to a request."""

    DONE = auto()
    CRASH = auto()  # the process ends before the request
    CRASH_AFTER = auto()  # the process ends after the server has executed it
    FAILURE = auto()
    LOST_REPLY = auto()


class Crashed(BaseException):
    """The end of a process."""


class InlineExecutor(Executor):
    """Runs calls at once, in the order of their submission."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **options))
        except Exception as error:
            future.set_exception(error)
        return future


@dataclass
class Actor:
    """A process: a thread that waits for its turn before each request."""

    name: str
    work: Callable[[Actor], None]
    fate: Fate = Fate.DONE
    ended: bool = False
    error: BaseException | None = None
    _turn: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _waits: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()
        self.wait_until_it_waits()

    def _run(self) -> None:
        try:
            self.work(self)
        except Crashed:
            pass
        except BaseException as error:
            self.error = error
        finally:
            self.ended = True
            self._waits.release()

    def wait_until_it_waits(self) -> None:
        assert self._waits.acquire(timeout=PATIENCE_S), f"{self.name} hangs"

    def resume(self, fate: Fate) -> None:
        """Executes its next request with that fate, up to the one after it."""
        self.fate = fate
        self._turn.release()
        self.wait_until_it_waits()

    def wait_for_turn(self) -> Fate:
        self._waits.release()
        assert self._turn.acquire(timeout=PATIENCE_S)
        return self.fate


class SteppedClient:
    """An ``ObjectClient`` whose requests wait for their turn. ``pointers`` receives each pointer that is written."""

    unquoted_etags = False

    def __init__(self, actor: Actor, objects: MemoryStore, pointers: list[Pointer]) -> None:
        self._actor = actor
        self._client = ObstoreClient(objects)
        self._pointers = pointers

    def _request(self, call: Callable[[], Any]) -> Any:
        fate = self._actor.wait_for_turn()
        if fate is Fate.CRASH:
            raise Crashed
        if fate is Fate.FAILURE:
            raise ObjectStoreFailure(FailureReason.UNAVAILABLE, "injected")
        result = call()
        if fate is Fate.CRASH_AFTER:
            raise Crashed
        if fate is Fate.LOST_REPLY:
            raise ObjectStoreFailure(FailureReason.UNAVAILABLE, "the reply is lost")
        return result

    def get(self, path: str) -> tuple[bytes, ObjectVersion]:
        result: tuple[bytes, ObjectVersion] = self._request(lambda: self._client.get(path))
        return result

    def stream(self, path: str, start: int, end: int) -> Iterator[bytes]:
        result: Iterator[bytes] = self._request(lambda: self._client.stream(path, start, end))
        return result

    def upload(self, path: str, file: Path, headers: Headers) -> None:
        self._request(lambda: self._client.upload(path, file, headers))

    def put(self, path: str, content: bytes, headers: Headers, *, expected: ObjectVersion | None) -> None:
        def call() -> None:
            self._client.put(path, content, headers, expected=expected)
            self._pointers.append(parse_pointer(content))

        self._request(call)

    def list_all(self, folder: str) -> Iterator[ListedObject]:
        return iter(self._request(lambda: [*self._client.list_all(folder)]))

    def list_level(self, folder: str) -> tuple[list[str], list[ListedObject]]:
        result: tuple[list[str], list[ListedObject]] = self._request(lambda: self._client.list_level(folder))
        return result

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._request(lambda path=path: self._client.delete([path]))

    def sign(self, path: str, seconds: int) -> str | None:
        return self._client.sign(path, seconds)


class World:
    """One bucket and the processes that use it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects = MemoryStore()
        self.pointers: list[Pointer] = []
        self.published: list[int] = []

    def store(self, actor: Actor) -> ObjectStore:
        client = SteppedClient(actor, self.objects, self.pointers)
        store = ObjectStore(
            parse_bucket_address("s3://bucket"),
            grace_s=0.0,
            make_client=lambda _address: client,
            executor=InlineExecutor(),
        )
        store._probed = True
        return store

    def attempt(self, token: int, text: str) -> Actor:
        def work(actor: Actor) -> None:
            store = self.store(actor)
            try:
                store.publish(stage(self.folder, token, text), PROJECT, JOB, token=token)
                self.published.append(token)
                store.sweep(FAR_FUTURE_S)
            except (StaleToken, TransientJobError, StoreUnavailable):
                return

        return Actor(f"attempt {token}", work)

    def reader(self) -> Actor:
        def work(actor: Actor) -> None:
            store, newest = self.store(actor), 0
            for _ in range(3):
                try:
                    read(store)
                    pointer, _folder = store._reader._read_pointer(record())
                    assert pointer.token >= newest, "a bundle went back"
                    newest = pointer.token
                except BundleNotFound as error:
                    if "differs" in error.message:
                        raise
                except (BundleReplaced, BundleUnreadable, ObjectStoreFailure):
                    continue

        return Actor("reader", work)

    def sweeper(self) -> Actor:
        def work(actor: Actor) -> None:
            try:
                self.store(actor).leftovers(before_s=FAR_FUTURE_S).remove()
            except StoreUnavailable:
                return

        return Actor("sweeper", work)

    def pruner(self) -> Actor:
        def work(actor: Actor) -> None:
            store = self.store(actor)
            try:
                for bundle in store.list_bundles():
                    store.remove(bundle)
            except (StoreUnavailable, BundleUnreadable):
                return

        return Actor("pruner", work)


@CHOSEN
@given(data=st.data())
def test_racing_attempts_tear_nothing_and_never_go_back(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder, NoPauses():
        world = World(Path(folder))
        texts = data.draw(st.lists(st.sampled_from("abc"), min_size=2, max_size=4), label="texts")
        actors = [world.attempt(token, text) for token, text in enumerate(texts, 1)]
        actors += [world.reader()]
        actors += [world.sweeper()] * data.draw(st.integers(0, 1))
        actors += [world.pruner()] * data.draw(st.integers(0, 1))
        fates = st.sampled_from([Fate.DONE] * 12 + [*Fate])
        for actor in actors:
            actor.start()
        while live := [actor for actor in actors if not actor.ended]:
            # Mostly the same process goes on: a long run of one is where another one is late.
            actor = live[data.draw(st.integers(0, len(live) - 1))]
            for _ in range(data.draw(st.sampled_from(BURSTS))):
                if not actor.ended:
                    actor.resume(data.draw(fates))
        for actor in actors:
            assert actor.error is None, (actor.name, actor.error)
        tokens = [(pointer.token, pointer.fence) for pointer in world.pointers]
        assert tokens == sorted(tokens), "a token or a fence went back"
        assert [fence for _, fence in tokens] == sorted(fence for _, fence in tokens)
        if world.published:
            assert world.pointers[-1].fence >= max(world.published)
        plain = ObjectStore(
            parse_bucket_address("s3://bucket"), make_client=lambda _address: ObstoreClient(world.objects)
        )
        read(plain)


class NoPauses:
    """Replaces the pauses between readings of the pointer."""

    def __enter__(self) -> None:
        self._before = publisher._MAX_PAUSE_S
        publisher._MAX_PAUSE_S = 0.0

    def __exit__(self, *_: object) -> None:
        publisher._MAX_PAUSE_S = self._before
