"""Examines which jobs a batch has and how it counts them, and repairs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from previewops.doctor.batch_diagnosis import BatchCounts, diagnose_batch, diagnose_members, diagnose_unlisted
from previewops.doctor.data_diagnosis import decode_id
from previewops.doctor.project_check import Members, Read, Report
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts

BATCH = 200
"""Jobs per script."""

COUNT_ATTEMPTS = 3
"""Counts of one batch, while its jobs end or start. One that still changes is not examined."""


class BatchCheck:
    """One examination. Arguments are those of ``ProjectCheck``."""

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
        """Examines the jobs of each batch, then its counts."""
        listed = await self._members(self._keys.batches)
        jobs = await self._jobs_by_batch(sorted(job_ids))
        for raw in sorted(listed | self._stored_ids() | set(jobs)):
            if raw not in listed:
                await self._check_list(raw)
            if await self._check_members(raw, jobs.get(raw, ())):
                await self._check_counts(raw)

    def _stored_ids(self) -> set[bytes]:
        prefixes = (self._keys.batch_prefix, self._keys.batch_jobs_prefix)
        return {key[len(prefix.encode()) :] for prefix in prefixes for key in self._families[prefix]}

    async def _check_list(self, raw: bytes) -> None:
        """Reports a batch that is not in the list of batches, by which they expire."""
        if await self._scripts.run(ScriptName.REPAIR_BATCH, raw, "unlisted"):
            finding = diagnose_unlisted(self._keys.batches, decode_id(raw))
            await self._report([finding], lambda: self._scripts.run(ScriptName.REPAIR_BATCH, raw, "list"))

    async def _jobs_by_batch(self, ids: Sequence[bytes]) -> dict[bytes, list[bytes]]:
        """Returns jobs by the batch that their record names."""
        prefix = self._keys.job_prefix.encode()
        jobs: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for start in range(0, len(ids), BATCH):
            chunk = ids[start : start + BATCH]
            names = await self._read(("HGET", prefix + job_id, "batch") for job_id in chunk)
            for job_id, name in zip(chunk, names, strict=True):
                if isinstance(name, bytes):
                    jobs[name].append(job_id)
        return jobs

    async def _check_members(self, raw: bytes, jobs: Sequence[bytes]) -> bool:
        """Reports jobs that the batch does not list. Returns whether it lists all of them now."""

        async def missing(change: str) -> int:
            chunks = (jobs[start : start + BATCH] for start in range(0, len(jobs), BATCH))
            return sum(
                [int(await self._scripts.run(ScriptName.REPAIR_BATCH, raw, change, *c)) for c in chunks]
            )

        count = await missing("missing")
        if not count:
            return True
        key = self._keys.batch_jobs_prefix + decode_id(raw)
        await self._report([diagnose_members(key, count)], lambda: missing("add"))
        return not await missing("missing")

    async def _check_counts(self, raw: bytes) -> None:
        for _ in range(COUNT_ATTEMPTS):
            stored = await self._stored_counts(raw)
            counts = await self._count_jobs(raw)
            if stored == await self._stored_counts(raw):
                await self._report_counts(raw, stored, counts)
                return

    async def _stored_counts(self, raw: bytes) -> list[bytes | None] | None:
        """Returns the fields of a batch as stored; None if its key has another type, which is reported before."""
        key = self._keys.batch_prefix.encode() + raw
        (row,) = await self._read([("HMGET", key, *BatchCounts.FIELDS, "project", "created")])
        return row if isinstance(row, list) else None

    async def _count_jobs(self, raw: bytes) -> BatchCounts:
        """Counts the listed jobs of a batch by the states in their records."""
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
        diagnosis = diagnose_batch(self._keys.batch_prefix + decode_id(raw), stored, counts)
        if diagnosis is None:
            return
        finding, repaired = diagnosis
        before = [value or b"" for value in stored[: len(BatchCounts.FIELDS)]]

        async def repair() -> Any:
            return await self._scripts.run(
                ScriptName.REPAIR_BATCH, raw, "store", *before, *repaired.numbers(), repaired.project
            )

        await self._report([finding], repair)
