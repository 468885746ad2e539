"""Examines all keys of a queue and repairs what is damaged, while workers run.

Every repair is one script, which checks again that the data is still damaged in the same way. Nothing is lost: keys
that cannot be kept are renamed below ``Keys.quarantine_prefix``, jobs without a known state become dead
letters.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from previewops.doctor.batch_check import BatchCheck
from previewops.doctor.data_diagnosis import (
    Report,
    damaged_counters,
    decode_id,
    diagnose_accounting,
    diagnose_counters,
    diagnose_group,
    diagnose_report,
    diagnose_type,
)
from previewops.doctor.job_diagnosis import Finding, JobObservation, JobRepair, diagnose_job
from previewops.doctor.project_check import ProjectCheck
from previewops.errors import ForeignKey
from previewops.queue.keys import ARQ_GUARD, SHARED_TYPES, Keys
from previewops.queue.scripts import ScriptName, Scripts
from previewops.redis_server.connection import is_wrong_type, stored_data_error
from previewops.settings import Settings

BATCH = 200
"""Keys or jobs per round trip."""

MAX_ROUNDS = 4
"""Examinations of one repair: a repaired key can show damage that it hid."""

MAX_FINDINGS = 10_000
"""Findings that a report names; the others are counted."""


@dataclass(slots=True)
class DoctorReport:
    """Result of an examination. ``left`` are findings that a repair did not change; None for a dry run.

    ``quarantine`` are the keys that were moved aside, by this repair or earlier.
    """

    findings: list[Finding] = field(default_factory=list)
    count: int = 0
    left: int | None = None
    quarantine: tuple[str, ...] = ()

    def add(self, findings: Iterable[Finding]) -> bool:
        """Adds findings. Returns whether there were any."""
        before = self.count
        for finding in findings:
            self.count += 1
            if len(self.findings) < MAX_FINDINGS:
                self.findings.append(finding)
        return self.count > before


class Doctor:
    """Examines and repairs one queue."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self.keys = Keys(settings.queue_name)
        self._redis = redis
        self._scripts = Scripts(redis, self.keys)

    async def examine(self) -> DoctorReport:
        """Examines all keys and changes nothing."""
        report = DoctorReport()
        await _Examination(self.keys, self._redis, self._scripts, report, repair=False).run()
        report.quarantine = await self._quarantine()
        return report

    async def repair(self) -> DoctorReport:
        """Examines all keys and repairs what is damaged, until nothing is or a round repairs nothing more."""
        report, last = DoctorReport(), DoctorReport()
        for _ in range(MAX_ROUNDS):
            last = DoctorReport()
            await _Examination(self.keys, self._redis, self._scripts, last, repair=True).run()
            report.add(last.findings)
            if last.count == 0:
                break
        report.left = last.count
        report.quarantine = await self._quarantine()
        return report

    async def _quarantine(self) -> tuple[str, ...]:
        pattern = f"{self.keys.quarantine_prefix}*"
        found = [decode_id(key) async for key in self._redis.scan_iter(pattern, count=1000)]
        return tuple(sorted(found))


class _Examination:
    def __init__(
        self, keys: Keys, redis: Redis, scripts: Scripts, report: DoctorReport, *, repair: bool
    ) -> None:
        self._keys = keys
        self._redis = redis
        self._scripts = scripts
        self._report = report
        self._repair = repair
        self._now_ms = 0
        self._families: dict[str, list[bytes]] = {prefix: [] for prefix in keys.family_types()}

    async def run(self) -> None:
        self._now_ms = await self._server_now_ms()
        await self._list_keys()
        await self._check_types()
        await self._check_jobs()
        await self._check_counters()
        await self._check_commands()
        await self._check_reports(self._keys.workers, self._keys.worker_prefix)
        await self._check_reports(self._keys.supervisors, self._keys.supervisor_prefix)
        await self._check_groups()
        await self._check_projects()
        await self._check_batches()
        await self._check_accounting()

    async def _found(self, findings: Iterable[Finding], repair: Callable[[], Awaitable[Any]]) -> None:
        if self._report.add(findings) and self._repair:
            await repair()

    async def _server_now_ms(self) -> int:
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    # ---------------------------------------------------------------- keys

    async def _list_keys(self) -> None:
        prefixes = {prefix.encode(): keys for prefix, keys in self._families.items()}
        async for key in self._redis.scan_iter(f"{self._keys.queue}:*", count=1000):
            for prefix, keys in prefixes.items():
                if key.startswith(prefix):
                    keys.append(key)

    async def _check_types(self) -> None:
        fixed = self._keys.fixed_types() | SHARED_TYPES
        expected = {key.encode(): kind for key, kind in fixed.items()}
        of_one_job = (self._keys.job_prefix, self._keys.attempts_prefix)
        for prefix, kind in self._keys.family_types().items():
            if kind is not None and prefix not in of_one_job:
                expected |= dict.fromkeys(self._families[prefix], kind)
        for batch in _batches(list(expected)):
            types = await self._pipeline(("TYPE", key) for key in batch)
            for key, found in zip(batch, types, strict=True):
                kind = expected[key]
                await self._found(
                    diagnose_type(decode_id(key), found.decode(), kind), self._repair_key(key, kind.value)
                )

    def _repair_key(self, key: bytes, expected: str) -> Callable[[], Awaitable[Any]]:
        return lambda: self._scripts.run(ScriptName.REPAIR_KEY, key, expected)

    # ---------------------------------------------------------------- jobs

    async def _check_jobs(self) -> None:
        for batch in _batches(sorted(await self._job_ids())):
            rows = await self._scripts.run(ScriptName.INSPECT_JOBS, *batch)
            for raw_id, (digest, values) in zip(batch, rows, strict=True):
                seen = JobObservation.from_reply(values)
                diagnosis = diagnose_job(self._keys, decode_id(raw_id), seen, self._now_ms)
                if diagnosis.repair is not None:
                    await self._found(diagnosis.findings, self._repair_job(raw_id, digest, diagnosis.repair))

    def _repair_job(self, raw_id: bytes, digest: bytes, repair: JobRepair) -> Callable[[], Awaitable[Any]]:
        return lambda: self._scripts.run(ScriptName.REPAIR_JOB, raw_id, digest, *repair.arguments())

    async def _job_ids(self) -> set[bytes]:
        keys = self._keys
        ids: set[bytes] = set()
        for key in keys.job_indexes():
            ids |= await self._members(key)
        for prefix in (keys.job_prefix, keys.attempts_prefix):
            ids |= {key[len(prefix.encode()) :] for key in self._families[prefix]}
        return ids - {ARQ_GUARD}

    async def _members(self, key: str | bytes) -> set[bytes]:
        """Returns the members of a sorted set; none if the key has another type.

        ZSCAN misses no member that stays in the set meanwhile, and does not block Redis.
        """
        members: set[bytes] = set()
        cursor = 0
        while True:
            try:
                cursor, page = await self._redis.zscan(key, cursor, count=1000)
            except ResponseError as error:
                if not is_wrong_type(error):
                    raise
                return set()
            members |= {member for member, _ in page}
            if cursor == 0:
                return members

    # ---------------------------------------------------------------- counters

    async def _check_counters(self) -> None:
        keys = self._keys
        families = (keys.bucket_prefix, keys.ended_prefix, keys.ended_project_prefix)
        counted = [key for prefix in families for key in self._families[prefix]]
        hashes = [keys.meta.encode(), keys.totals.encode(), *counted]
        for batch in _batches(hashes):
            for key, raw in zip(batch, await self._pipeline(("HGETALL", key) for key in batch), strict=True):
                if isinstance(raw, Exception):
                    continue  # of another type: reported above
                names = {decode_id(name): name for name in raw}
                fields = {text: raw[name].decode("utf-8", "replace") for text, name in names.items()}
                damaged = damaged_counters(decode_id(key), fields, keys)
                await self._found(
                    diagnose_counters(decode_id(key), fields, damaged),
                    self._repair_fields(key, [names[name] for name in damaged]),
                )

    def _repair_fields(self, key: bytes, names: Sequence[bytes]) -> Callable[[], Awaitable[Any]]:
        return lambda: self._scripts.run(ScriptName.REPAIR_FIELDS, key, *names)

    async def _check_accounting(self) -> None:
        try:
            stored, counted, quarantined = await self._scripts.run(ScriptName.REPAIR_ACCOUNTING, 0)
        except ResponseError as error:
            if isinstance(stored_data_error(error), ForeignKey):
                return  # reported above; the jobs are counted when that key is repaired
            raise
        await self._found(
            diagnose_accounting(self._keys, int(stored), int(counted), int(quarantined)),
            lambda: self._scripts.run(ScriptName.REPAIR_ACCOUNTING, 1),
        )

    # ---------------------------------------------------------------- workers, supervisors, commands

    async def _check_commands(self) -> None:
        for batch in _batches(self._families[self._keys.command_prefix]):
            rows = await self._pipeline(("HMGET", key, "state", "act") for key in batch)
            for key, row in zip(batch, rows, strict=True):
                if not isinstance(row, Exception) and None in row:
                    finding = Finding(
                        decode_id(key), "a command without state or kind", "both", "move the key aside"
                    )
                    await self._found([finding], self._repair_key(key, "none"))

    async def _check_reports(self, index: str, prefix: str) -> None:
        skip = len(prefix.encode())
        ids = sorted(await self._members(index) | {key[skip:] for key in self._families[prefix]})
        for batch in _batches(ids):
            replies = await self._pipeline(
                command
                for raw_id in batch
                for command in (("ZSCORE", index, raw_id), ("HGET", prefix.encode() + raw_id, "info"))
            )
            for raw_id, score, info in zip(batch, replies[::2], replies[1::2], strict=True):
                stored = info if isinstance(info, bytes) else b""
                report = Report(raw_id, score if isinstance(score, float) else None, stored)
                if report.score is not None or stored:  # else it has ended meanwhile
                    await self._found(
                        diagnose_report(self._keys, index, report, self._now_ms),
                        self._repair_member(index, raw_id, stored),
                    )

    def _repair_member(self, index: str, raw_id: bytes, info: bytes) -> Callable[[], Awaitable[Any]]:
        kind = "workers" if index == self._keys.workers else "supervisors"
        return lambda: self._scripts.run(ScriptName.REPAIR_MEMBER, kind, raw_id, info)

    # ---------------------------------------------------------------- groups of dead letters

    async def _check_groups(self) -> None:
        keys = self._keys
        prefix = keys.dead_group_prefix.encode()
        sizes = await self._members(keys.dead_groups)
        for raw in sorted(sizes | {key[len(prefix) :] for key in self._families[keys.dead_group_prefix]}):
            members = sorted(await self._members(prefix + raw))
            strangers = [m for batch in _batches(members) for m in await self._strangers(raw, batch)]
            size, stored = await self._pipeline((("ZCARD", prefix + raw), ("ZSCORE", keys.dead_groups, raw)))
            findings = diagnose_group(
                keys,
                decode_id(raw),
                size=size if isinstance(size, int) else 0,
                stored_size=stored if isinstance(stored, float) else None,
                strangers=strangers,
            )
            await self._found(findings, self._repair_group(raw, strangers))

    async def _strangers(self, raw: bytes, members: Sequence[bytes]) -> list[bytes]:
        """Returns the members that are in the group and not its dead letters at one moment."""
        group, job = self._keys.dead_group_prefix.encode() + raw, self._keys.job_prefix.encode()
        replies = await self._pipeline(
            command
            for member in members
            for command in (("ZSCORE", group, member), ("HMGET", job + member, "state", "fingerprint"))
        )
        rows = zip(members, replies[::2], replies[1::2], strict=True)
        return [member for member, score, row in rows if score is not None and row != [b"dead", raw]]

    def _repair_group(self, raw: bytes, strangers: Sequence[bytes]) -> Callable[[], Awaitable[Any]]:
        async def repair() -> None:
            for batch in _batches(strangers) or [[]]:
                await self._scripts.run(ScriptName.REPAIR_GROUP, raw, *batch)

        return repair

    # ---------------------------------------------------------------- projects

    async def _check_projects(self) -> None:
        try:
            await ProjectCheck(
                self._keys,
                self._scripts,
                read=self._pipeline,
                members=self._members,
                report=self._found,
                families=self._families,
            ).run()
        except ResponseError as error:
            if not isinstance(stored_data_error(error), ForeignKey):
                raise  # else reported above; projects are examined when that key is repaired

    # ---------------------------------------------------------------- batches

    async def _check_batches(self) -> None:
        await BatchCheck(
            self._keys,
            self._scripts,
            read=self._pipeline,
            members=self._members,
            report=self._found,
            families=self._families,
        ).run(await self._job_ids())

    # ---------------------------------------------------------------- Redis

    async def _pipeline(self, commands: Iterable[Sequence[Any]]) -> list[Any]:
        """Runs commands at one moment. The reply of a key with another type is the error."""
        async with self._redis.pipeline(transaction=True) as pipe:
            for command in commands:
                pipe.execute_command(*command)
            replies = await pipe.execute(raise_on_error=False)
        for reply in replies:
            if isinstance(reply, Exception) and not is_wrong_type(reply):
                raise reply
        return replies


def _batches(items: Sequence[bytes]) -> list[Sequence[bytes]]:
    return [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
