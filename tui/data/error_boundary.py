"""Converts every error of a data source to ``PreviewopsError``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from previewops.errors import PreviewopsError

if TYPE_CHECKING:
    from pathlib import Path

    from previewops.queue.pages import Cursor, DeadLetterFilter, DeadLetterGroup, ListPage
    from previewops.queue.records import JobRecord
    from previewops.snapshot.model import Snapshot
    from previewops.tui.protocols import DataSource, ExaminedCallback, JobQuery, SnapshotQuery


class UnexpectedError(PreviewopsError):
    """An unexpected exception: an error reply of Redis, or an internal error."""

    code = "unforeseen"

    def __init__(self, error: Exception) -> None:
        super().__init__(f"unexpected {type(error).__name__}: {error}")


@contextmanager
def wrap_errors() -> Iterator[None]:
    """Converts an unexpected exception to one that can be shown.

    Raises:
        PreviewopsError: for every exception.
    """
    try:
        yield
    except PreviewopsError:
        raise
    except Exception as error:
        raise UnexpectedError(error) from error


class ErrorBoundarySource:
    """A ``DataSource`` around another one. Every failure is a ``PreviewopsError``, so none ends the screen."""

    def __init__(self, source: DataSource) -> None:
        self._source = source

    async def collect(self, query: SnapshotQuery) -> Snapshot:
        with wrap_errors():
            return await self._source.collect(query)

    async def jobs(self, query: JobQuery) -> ListPage:
        with wrap_errors():
            return await self._source.jobs(query)

    async def job(self, job_id: str) -> JobRecord:
        with wrap_errors():
            return await self._source.job(job_id)

    async def dead_groups(self, limit: int) -> tuple[DeadLetterGroup, ...]:
        with wrap_errors():
            return await self._source.dead_groups(limit)

    async def now_ms(self) -> int:
        with wrap_errors():
            return await self._source.now_ms()

    async def dead_page(
        self, chosen: DeadLetterFilter, cursor: Cursor | None, limit: int, cut_off_ms: int | None = None
    ) -> ListPage:
        with wrap_errors():
            return await self._source.dead_page(chosen, cursor, limit, cut_off_ms)

    async def dead_count(
        self,
        chosen: DeadLetterFilter,
        cut_off_ms: int | None = None,
        on_examined: ExaminedCallback | None = None,
    ) -> int:
        with wrap_errors():
            return await self._source.dead_count(chosen, cut_off_ms, on_examined)

    def artifact(self, record: JobRecord, path: str) -> Path:
        with wrap_errors():
            return self._source.artifact(record, path)
