"""Decides what is damaged about keys that are not of one job: types, counters, reports, groups. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from previewops.doctor.job_diagnosis import Finding
from previewops.queue.keys import Keys, KeyType
from previewops.queue.tolerant_values import StoredFields, UnreadableCollector
from previewops.snapshot.fleet import parse_supervisor
from previewops.snapshot.worker_report import parse_worker
from previewops.states import Priority

FUTURE_MS = 60_000
"""A heartbeat later than this after now is damaged."""

META_NUMBERS = (
    *("accepted", "completed", "died", "cancelled", "discarded", "retried", "crashed", "requeued", "refused"),
    *("events", "quarantined", "passed_over", "paused", "lost", "loss_acknowledged", "upkept", "rolled"),
    *("regrouped", "layout", "stock_enqueue", "stock_worker", "webhooks_until", "webhook_all"),
    *("project_limits", "turns_checked"),
)
"""Fields of the meta hash that are counters or times in ms."""

META_LARGE_NUMBERS = ("sequence", "born")
"""Fields of the meta hash in µs."""

MOVE_ASIDE = "move the key aside"

_COUNTER = re.compile(r"[0-9]{1,15}")
_MICROSECONDS = re.compile(r"[0-9]{1,16}")
_LIMITS = re.compile(r"[0-9]{0,15}:[0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Report:
    """Last report of a worker or supervisor: id, score in the index (None if missing), JSON (empty if missing)."""

    raw_id: bytes
    score: float | None
    info: bytes


def decode_id(raw: bytes) -> str:
    """Returns an id or a key as text, whatever its bytes are."""
    return raw.decode("utf-8", "backslashreplace")


def diagnose_type(key: str, found: str, expected: KeyType) -> Iterator[Finding]:
    """Yields a finding if a key has another type. "none" is a missing key."""
    if found not in ("none", expected):
        yield Finding(key, f"a {found}", f"a {expected}", MOVE_ASIDE)


def damaged_counters(key: str, fields: Mapping[str, str], keys: Keys) -> list[str]:
    """Returns the fields of a hash of counters that are not numbers."""
    if key != keys.meta:
        return [name for name, value in fields.items() if _COUNTER.fullmatch(value) is None]
    return [
        *(name for name in META_NUMBERS if name in fields and _COUNTER.fullmatch(fields[name]) is None),
        *(
            name
            for name in META_LARGE_NUMBERS
            if name in fields and _MICROSECONDS.fullmatch(fields[name]) is None
        ),
    ]


def diagnose_counters(key: str, fields: Mapping[str, str], damaged: Iterable[str]) -> Iterator[Finding]:
    """Yields a finding for each of the ``damaged`` fields."""
    for name in damaged:
        found = f"{name[:40]} {fields[name][:40]!r}"
        yield Finding(key, found, "a number", "delete the field; an event keeps the value")


def diagnose_report(keys: Keys, index: str, report: Report, now_ms: int) -> Iterator[Finding]:
    """Yields a finding if the report of a worker or supervisor is damaged. ``index`` is the key of its sorted set."""
    prefix = keys.worker_prefix if index == keys.workers else keys.supervisor_prefix
    key = prefix + report.raw_id.decode("utf-8", "backslashreplace")
    repair = "remove it; a live one reports again"
    if report.score is None:
        yield Finding(key, "a report without an entry in the index", "both", repair)
        return
    unreadable = UnreadableCollector()
    if index == keys.workers:
        parse_worker(keys, unreadable, report.raw_id, repr(report.score).encode(), report.info)
    else:
        parse_supervisor(StoredFields.from_json(key, report.info, unreadable))
    if unreadable.result():
        yield Finding(key, f"the report {report.info[:40]!r}", "JSON with numbers in their fields", repair)
    elif not 0 <= report.score <= now_ms + FUTURE_MS:
        yield Finding(index, f"a heartbeat at {report.score:g}", "a time that has passed", repair)
    elif not _is_text(report.raw_id):
        yield Finding(index, f"the id {report.raw_id[:40]!r}", "a text", repair)


def diagnose_group(
    keys: Keys, fingerprint: str, *, size: int, stored_size: float | None, strangers: Collection[bytes]
) -> Iterator[Finding]:
    """Yields findings if the group of an error fingerprint has ``strangers``, or if its stored size is wrong."""
    key = keys.dead_group_prefix + fingerprint
    if strangers:
        first = decode_id(min(strangers)[:40])
        found = f"{len(strangers)} entries that are not dead letters of it, one {first!r}"
        yield Finding(key, found, "dead letters with this fingerprint", "remove the entries")
    if (stored_size or 0) != size:
        found = "no size" if stored_size is None else f"the size {stored_size:g}"
        yield Finding(keys.dead_groups, f"{found} of {fingerprint[:40]}", f"{size}", "store the size")


def damaged_limits(fields: Mapping[str, str]) -> list[str]:
    """Returns the fields of the project limits that scripts ignore."""
    return [name for name, value in fields.items() if _LIMITS.fullmatch(value) is None]


def diagnose_limits(key: str, fields: Mapping[str, str], damaged: Iterable[str]) -> Iterator[Finding]:
    """Yields a finding for each of the ``damaged`` fields."""
    for name in damaged:
        found = f"{name[:40]} {fields[name][:40]!r}"
        yield Finding(key, found, "a weight and a maximum", "delete the field; an event keeps the value")


def diagnose_turns(
    keys: Keys, priority: Priority, project: str, *, differing: int, first: bytes, wrong_turn: bool
) -> Iterator[Finding]:
    """Yields findings if what claims derive from the waiting jobs of a project differs from these."""
    if differing:
        found = f"{differing} entries that differ from the waiting jobs, one {decode_id(first[:40])!r}"
        key = keys.project_waiting(priority, project)
        yield Finding(key, found, "the waiting jobs of the project", "derive them again")
    if wrong_turn:
        expected = "a turn if its jobs wait and it is not held"
        yield Finding(keys.turns(priority), f"a wrong turn of {project[:40]!r}", expected, "derive it again")


def diagnose_active(
    keys: Keys, project: str, *, differing: int, first: bytes, wrongly_held: bool
) -> Iterator[Finding]:
    """Yields findings if the listed active jobs of a project with a maximum are not those that run."""
    if differing:
        found = f"{differing} entries that differ from the running jobs, one {decode_id(first[:40])!r}"
        expected = "the running jobs of a project with a maximum"
        yield Finding(keys.project_active_prefix + project, found, expected, "derive them again")
    if wrongly_held:
        expected = "only projects at their maximum"
        yield Finding(keys.held_projects, f"{project[:40]!r}", expected, "let it take turns again")


def diagnose_accounting(keys: Keys, stored: int, counted: int, quarantined: int) -> Iterator[Finding]:
    """Yields findings if accepted jobs are in no state, and if scripts have moved keys aside."""
    if stored != counted:
        found, expected = f"accepted {stored}", f"{counted}: ended, dead and pending jobs"
        yield Finding(keys.meta, found, expected, "store the sum; an event keeps the difference")
    if quarantined:
        found = f"{quarantined} keys moved aside since the last repair"
        yield Finding(keys.meta, found, "0", f"end the report; the keys stay below {keys.quarantine_prefix}")


def _is_text(raw: bytes) -> bool:
    try:
        return raw.decode().isprintable()
    except UnicodeDecodeError:
        return False
