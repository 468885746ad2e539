"""Parses what workers report with their heartbeats. Pure."""

from __future__ import annotations

from dataclasses import replace

from previewops.queue.keys import Keys
from previewops.queue.tolerant_values import StoredFields, UnreadableCollector, parse_score
from previewops.snapshot.model import StoreReport, ThemesReport, WorkerState
from previewops.snapshot.recent import parse_recent


def parse_worker(
    keys: Keys, unreadable: UnreadableCollector, raw_id: bytes, heartbeat: bytes, info_json: bytes
) -> WorkerState:
    """Parses the last report of a worker. ``unreadable`` gets its key if any part is damaged."""
    worker_id = raw_id.decode("utf-8", "replace")
    info = StoredFields.from_json(keys.worker_prefix + worker_id, info_json, unreadable)
    heartbeat_ms = parse_score(heartbeat, info)
    clock_ms = info.optional_integer("clockMs")
    return WorkerState(
        worker_id=worker_id,
        host=info.text("host"),
        pid=info.integer("pid"),
        state=info.text("state", "unknown"),
        job_slots=info.integer("slots"),
        busy=info.integer("busy"),
        rss_bytes=info.integer("rssBytes"),
        heartbeat_ms=heartbeat_ms,
        started_ms=info.integer("startedMs"),
        completed=info.integer("completed"),
        failed=info.integer("failed"),
        version=info.text("version"),
        build=info.text("build"),
        jobs=tuple(str(job_id) for job_id in info.items("jobs")),
        cpu=info.number("cpu"),
        own_rss_bytes=info.integer("ownRssBytes"),
        confined_by=tuple(str(layer) for layer in info.items("confinedBy")),
        confinement_missing=tuple(str(layer) for layer in info.items("confinementMissing")),
        clock_ahead_ms=None if clock_ms is None else clock_ms - info.integer("atMs", heartbeat_ms),
        store=_parse_store(info, heartbeat_ms),
        themes=_parse_themes(info),
        completed_recently=parse_recent(info, "completedRecently"),
    )


def _parse_store(info: StoredFields, heartbeat_ms: int) -> StoreReport | None:
    """Parses the report of the store; None from a worker of an earlier version, or if it is damaged."""
    reported = info.fields.get("store")
    if reported is None:
        return None
    if not isinstance(reported, dict):
        info.damaged()
        return None
    store = replace(info, fields=reported)
    return StoreReport(
        store_id=store.text("id"),
        location=store.text("location"),
        problem=store.text("problem"),
        since_ms=max(0, heartbeat_ms - store.integer("forMs")),
        checked_ms=max(0, heartbeat_ms - store.integer("checkedAgoMs")),
    )


def _parse_themes(info: StoredFields) -> ThemesReport | None:
    """Parses the report of the themes; None from a worker of an earlier version, or if it is damaged."""
    reported = info.fields.get("themes")
    if reported is None:
        return None
    if not isinstance(reported, dict):
        info.damaged()
        return None
    themes = replace(info, fields=reported)
    return ThemesReport(
        count=themes.integer("count"),
        digest=themes.text("digest"),
        invalid=themes.integer("invalid"),
        problems=tuple(str(problem) for problem in themes.items("problems")),
    )
