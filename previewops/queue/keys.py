"""All Redis keys, built only here.

Keys that begin with ``arq:`` and the sorted set named like the queue are arq 0.28's format
(arq/constants.py), so that stock arq clients can enqueue jobs and read results. All other keys are under the
queue's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from previewops.states import Priority

ARQ_JOB_PREFIX = "arq:job:"
ARQ_RESULT_PREFIX = "arq:result:"
ARQ_IN_PROGRESS_PREFIX = "arq:in-progress:"
ARQ_ABORTS = "arq:abort"


class KeyType(StrEnum):
    """Redis types of keys, as the TYPE command names them."""

    STRING = "string"
    LIST = "list"
    HASH = "hash"
    SORTED_SET = "zset"
    STREAM = "stream"


ARQ_GUARD = b"\xff previewops"
"""First member of the sorted set of pending ids. It is not UTF-8 text.

A stock arq worker decodes each id that it reads, in the order of the scores, and ends at this one. Without it, the
worker would delete the payloads of waiting jobs: it cannot read JSON, and does not know their function.
"""
ARQ_GUARD_SCORE = -(2**53 - 1)

SHARED_TYPES = {ARQ_ABORTS: KeyType.SORTED_SET}
"""Types of the keys that all queues of a database share."""


class _Key:
    """A key under the queue's name. ``lua_name`` is K_NAME, or P_NAME for a prefix of keys.

    ``type`` is None for a pub/sub channel, and for the quarantine, which holds keys of any type.
    """

    def __init__(self, suffix: str, key_type: KeyType | None) -> None:
        self.suffix = suffix
        self.type = key_type

    def __set_name__(self, _owner: type, name: str) -> None:
        prefix = name.removesuffix("_prefix")
        self.lua_name = ("K_" if prefix == name else "P_") + prefix.upper()

    def __get__(self, keys: Keys, _owner: type) -> str:
        return keys.queue + self.suffix


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue: str

    schedule = _Key("", KeyType.SORTED_SET)
    """arq's sorted set of pending job ids.

    A score ≥ 0 is the due time in ms of a job that is not admitted yet (in backoff, or from a stock arq
    client). A negative score marks a waiting or running job; its magnitude is when it was due.
    """
    active = _Key(":active", KeyType.SORTED_SET)
    """Sorted set of running ids by lease expiry in server ms."""
    completed = _Key(":completed", KeyType.SORTED_SET)
    """Sorted set of completed ids by end time in server ms, bounded by retention."""
    cancelled = _Key(":cancelled", KeyType.SORTED_SET)
    """Sorted set of cancelled ids by time in server ms, bounded by retention."""
    dead = _Key(":dead", KeyType.SORTED_SET)
    """Sorted set of dead-letter ids by time of death in server ms. Never trimmed."""
    dead_groups = _Key(":dead-causes", KeyType.SORTED_SET)
    """Sorted set of error fingerprints by their number of dead letters."""
    dead_group_prefix = _Key(":dead-group:", KeyType.SORTED_SET)
    """Prefix of a sorted set per fingerprint: its dead-letter ids by time of death in server ms."""
    meta = _Key(":meta", KeyType.HASH)
    """Hash of queue fields: pause, sequence, lifetime counters."""
    totals = _Key(":totals", KeyType.HASH)
    """Hash of lifetime counters by priority and cause (``previewops.metrics.lifetime_counters``)."""
    wake = _Key(":wake", KeyType.LIST)
    """List of at most one element; idle workers block on it."""
    events = _Key(":events", KeyType.STREAM)
    """Stream of events: operator commands and notable changes."""
    actions = _Key(":actions", KeyType.STREAM)
    """Stream of the events that name an operator, kept longer than the others (PREVIEW_KEEP_ACTIONS)."""
    webhooks = _Key(":webhooks", KeyType.SORTED_SET)
    """Sorted set of unsent webhook messages by the server ms at which the next attempt is due."""
    failed_webhooks = _Key(":webhooks-failed", KeyType.SORTED_SET)
    """Sorted set of webhook messages that failed for good, by time in server ms; the last 10,000."""
    webhook_prefix = _Key(":webhook:", KeyType.HASH)
    """Prefix of a hash per webhook message: job, state, receiver, attempts, last error."""
    batches = _Key(":batches", KeyType.SORTED_SET)
    """Sorted set of batches by the server ms of their creation or last end, by which maintenance deletes them."""
    batch_prefix = _Key(":batch:", KeyType.HASH)
    """Prefix of a hash per batch: project, times, receiver of its webhook, numbers of jobs by state."""
    batch_jobs_prefix = _Key(":batch-jobs:", KeyType.SORTED_SET)
    """Prefix of a sorted set per batch: the ids of its jobs in the order in which they joined it."""
    erasures = _Key(":erasures", KeyType.SORTED_SET)
    """Sorted set of what workers remove from their caches, as JSON, by server ms (``queue/erasures.py``)."""
    workers = _Key(":workers", KeyType.SORTED_SET)
    """Sorted set of worker ids by last heartbeat in server ms."""
    worker_prefix = _Key(":worker:", KeyType.HASH)
    """Prefix of a hash per worker: the info of its last heartbeat."""
    supervisors = _Key(":supervisors", KeyType.SORTED_SET)
    """Sorted set of supervisor ids by last heartbeat in server ms."""
    supervisor_prefix = _Key(":supervisor:", KeyType.HASH)
    """Prefix of a hash per supervisor: the info of its last heartbeat."""
    arq_health = _Key(":health-check", KeyType.STRING)
    """String that `arq --check` looks for, with a TTL; written by maintenance, and by other arq workers."""
    commands_prefix = _Key(":orders:", KeyType.LIST)
    """Prefix of a list per supervisor: ids of unacknowledged commands, oldest first."""
    command_prefix = _Key(":order:", KeyType.HASH)
    """Prefix of a hash per command: kind, target, operator and reply. Expires."""
    job_prefix = _Key(":job:", KeyType.HASH)
    """Prefix of a hash per job: the record beside arq's body."""
    attempts_prefix = _Key(":attempts:", KeyType.LIST)
    """Prefix of a list per job: one JSON object per failed attempt, oldest first."""
    bucket_prefix = _Key(":bucket:", KeyType.HASH)
    """Prefix of a hash per time bucket: ``10s:<n>`` and ``1m:<n>``, n = server seconds divided by the width."""
    ended_prefix = _Key(":ended:", KeyType.HASH)
    """Prefix of a hash per 5 min: ended jobs by priority and format (``snapshot/breakdown.py``). Expires."""
    ended_projects_prefix = _Key(":ended-projects:", KeyType.SORTED_SET)
    """Prefix of a sorted set per 5 min: the projects with the most ended jobs, by their number. Expires."""
    ended_project_prefix = _Key(":ended-project:", KeyType.HASH)
    """Prefix of a hash per 5 min and project: ``<n>:<project>``, its ended jobs. Expires."""
    quota_prefix = _Key(":quota:", KeyType.SORTED_SET)
    """Prefix of a sorted set per project with a quota: ids of pending jobs, and of some that have ended. Expires."""
    project_waiting_prefix = _Key(":project-waiting:", KeyType.SORTED_SET)
    """Prefix of a sorted set per priority and project: waiting ids by admission time (lua/include/turns.lua)."""
    project_active_prefix = _Key(":project-active:", KeyType.SORTED_SET)
    """Prefix of a sorted set per project with a maximum: its running ids by the time of claim or check in µs."""
    held_projects = _Key(":held-projects", KeyType.SORTED_SET)
    """Sorted set of projects at their maximum of active jobs, by the server ms of the latest check."""
    project_limits = _Key(":project-limits", KeyType.HASH)
    """Hash of weights and maxima of projects (lua/include/project_limits.lua)."""
    done_channel_prefix = _Key(":done:", None)
    """Prefix of the pub/sub channel that announces a job's end."""
    quarantine_prefix = _Key(":quarantine:", None)
    """Prefix of a damaged key that was moved aside: ``<server µs>:<original key>``."""

    def waiting(self, priority: Priority) -> str:
        """Sorted set of waiting ids by admission time in server µs: first in, first out."""
        return f"{self.queue}:waiting:{priority.value}"

    def turns(self, priority: Priority) -> str:
        """Sorted set of the projects with waiting jobs by the virtual time of their turn."""
        return f"{self.queue}:turns:{priority.value}"

    def project_waiting(self, priority: Priority, project: str) -> str:
        """Sorted set of the waiting ids of one project."""
        return f"{self.project_waiting_prefix}{priority.value}:{project}"

    def job_indexes(self) -> frozenset[str]:
        """Returns the sorted sets whose members are ids of jobs."""
        waiting = (self.waiting(priority) for priority in Priority)
        return frozenset({self.schedule, self.active, self.completed, self.cancelled, self.dead, *waiting})

    def core(self) -> frozenset[str]:
        """Returns the keys without which no job can be claimed or submitted (lua/include/core_keys.lua)."""
        waiting = (self.waiting(priority) for priority in Priority)
        return frozenset({self.schedule, self.active, self.meta, *waiting})

    def fixed_types(self) -> dict[str, KeyType]:
        """Returns the type of every key of which a queue has one."""
        keys = {self.waiting(priority): KeyType.SORTED_SET for priority in Priority}
        keys |= {self.turns(priority): KeyType.SORTED_SET for priority in Priority}
        keys |= {
            key.__get__(self, Keys): key.type
            for name, key in vars(Keys).items()
            if isinstance(key, _Key) and key.type is not None and not name.endswith("_prefix")
        }
        return keys

    def family_types(self) -> dict[str, KeyType | None]:
        """Returns the type of the keys below every prefix."""
        return {
            key.__get__(self, Keys): key.type
            for name, key in vars(Keys).items()
            if isinstance(key, _Key) and name.endswith("_prefix")
        }

    def lua_names(self) -> dict[str, str]:
        """Returns the key or prefix of each name that scripts use, which the loader writes into their text.

        Sending two dozen keys with every call cost more than packing all other arguments (measured: half of a
        worker's time at concurrency 2). KEYS[1] is still sent. Redis Cluster would require all keys declared,
        but arq's own keys are spread over slots, so a queue lives on one server anyway. They are not locals of the
        script, because Lua allows 200 of these.
        """
        keys = {f"K_{priority.name}": self.waiting(priority) for priority in Priority}
        keys |= {f"K_TURNS_{priority.name}": self.turns(priority) for priority in Priority}
        keys |= {
            key.lua_name: key.__get__(self, Keys) for key in vars(Keys).values() if isinstance(key, _Key)
        }
        return keys | {
            "K_ARQ_ABORTS": ARQ_ABORTS,
            "P_ARQ_JOB": ARQ_JOB_PREFIX,
            "P_ARQ_RESULT": ARQ_RESULT_PREFIX,
            "P_ARQ_IN_PROGRESS": ARQ_IN_PROGRESS_PREFIX,
        }
