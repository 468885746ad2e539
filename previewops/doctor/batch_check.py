"""Examines the jobs and counts of batches, and repairs them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from previewops.doctor.batch_diagnosis import BatchCounts, diagnose_batch
from previewops.doctor.job_diagnosis import Finding
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts

BATCH = 200
"""Jobs per script or round trip."""

COUNT_ATTEMPTS = 3
"""Counts of one batch, while its jobs end or start. One that still changes is not examined."""

Read = Callable[[Iterable[Sequence[Any]]], Awaitable[list[Any]]]
Members = Callable[[str | bytes], Awaitable[set[bytes]]]
Report = Callable[[Iterable[Finding], Callable[[], Awaitable[Any]]], Awaitable[None]]

_KEPT = frozenset({b"waiting", b"delayed", b"active", b"dead"})
"""States whose jobs keep their batch. The record of a job in another state may outlive it."""


class BatchCheck:
    """One examination. ``families`` are the queue's keys by prefix.

    ``read`` runs commands at one moment, ``members`` reads a sorted set, ``report`` takes findings and their repair.
    """

    def __init__(
        self,
        keys: Keys,
        scripts: Scripts,
        *,
        read: Read,
        members: Members,
        report: Report,
        families: Mapping[str, Sequence[bytes]],
    ) -> None:
        self._keys = keys
        self._scripts = scripts
        self._read = read
        self._members = members
        self._report = report
        self._families = families

    async def run(self, job_ids: Iterable[bytes]) -> None:
        """Examines the lists of jobs, without which these are not counted, then the counts."""
        missing = await self._missing_jobs(sorted(job_ids))
        for raw, ids in sorted(missing.items()):
            await self._check_jobs(raw, ids)
        keys = self._keys
        batches = await self._members(keys.batches)
        for prefix in (keys.batch_prefix, keys.batch_jobs_prefix):
            batches |= {key[len(prefix.encode()) :] for key in self._families[prefix]}
        for raw in sorted(batches | set(missing)):
            await self._check_counts(raw)

    async def _missing_jobs(self, job_ids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """Returns the jobs that the lists of their batches seem to lack, by batch."""
        prefix, lists = self._keys.job_prefix.encode(), self._keys.batch_jobs_prefix.encode()
        missing: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for start in range(0, len(job_ids), BATCH):
            ids = job_ids[start : start + BATCH]
            rows = await self._read(("HMGET", prefix + job_id, "state", "batch") for job_id in ids)
            named = [
                (row[1], job_id)
                for job_id, row in zip(ids, rows, strict=True)
                if isinstance(row, list) and row[0] in _KEPT and row[1]
            ]
            scores = (
                await self._read(("ZSCORE", lists + raw, job_id) for raw, job_id in named) if named else []
            )
            for (raw, job_id), score in zip(named, scores, strict=True):
                if score is None:
                    missing[raw].append(job_id)
        return missing

    async def _check_jobs(self, raw: bytes, ids: Sequence[bytes]) -> None:
        """Reports missing jobs. The script looks again at one moment."""
        for start in range(0, len(ids), BATCH):
            part = ids[start : start + BATCH]
            count = await self._scripts.run(ScriptName.REPAIR_BATCH, raw, "compare", *part)
            if count:
                finding = Finding(
                    self._keys.batch_jobs_prefix + raw.decode("utf-8", "backslashreplace"),
                    f"{count} missing, such as {part[0].decode('utf-8', 'backslashreplace')}",
                    "all jobs of the batch that are pending or dead",
                    "add them",
                )
                await self._report([finding], self._join(raw, part))

    def _join(self, raw: bytes, ids: Sequence[bytes]) -> Callable[[], Awaitable[Any]]:
        return lambda: self._scripts.run(ScriptName.REPAIR_BATCH, raw, "join", *ids)

    async def _check_counts(self, raw: bytes) -> None:
        for _ in range(COUNT_ATTEMPTS):
            stored = await self._stored_counts(raw)
            counts = await self._count(raw)
            if stored == await self._stored_counts(raw):
                await self._report_counts(raw, stored, counts)
                break

    async def _stored_counts(self, raw: bytes) -> list[bytes | None] | None:
        """Returns the fields of a batch as stored; None if its key has another type, which is reported elsewhere."""
        key = self._keys.batch_prefix.encode() + raw
        (row,) = await self._read([("HMGET", key, *BatchCounts.FIELDS, "project", "created")])
        return row if isinstance(row, list) else None

    async def _count(self, raw: bytes) -> BatchCounts:
        """Counts the members of a batch by the states in their records."""
        counts, cursor = BatchCounts(), b""
        while True:
            cursor, *row = await self._scripts.run(ScriptName.REPAIR_BATCH, raw, cursor, BATCH)
            counts = counts.plus(row)
            if not cursor:
                return counts

    async def _report_counts(
        self, raw: bytes, stored: list[bytes | None] | None, counts: BatchCounts
    ) -> None:
        if stored is None:
            return
        key = self._keys.batch_prefix + raw.decode("utf-8", "backslashreplace")
        diagnosis = diagnose_batch(key, stored, counts)
        if diagnosis is not None:
            finding, repaired = diagnosis
            before = [value or b"" for value in stored[: len(BatchCounts.FIELDS)]]
            await self._report(
                [finding],
                lambda: self._scripts.run(
                    ScriptName.REPAIR_BATCH, raw, "store", *before, *repaired.numbers(), repaired.project
                ),
            )
