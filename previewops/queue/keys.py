"""All Redis keys, built only here.

Keys that begin with ``arq:`` and the sorted set named like the queue are arq 0.28's format
(arq/constants.py), so that stock arq clients can enqueue jobs and read results. All other keys are under the
queue's name.
"""

from __future__ import annotations

from dataclasses import dataclass

from previewops.states import Priority

ARQ_JOB_PREFIX = "arq:job:"
ARQ_RESULT_PREFIX = "arq:result:"
ARQ_IN_PROGRESS_PREFIX = "arq:in-progress:"


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue."""

    queue: str

    @property
    def schedule(self) -> str:
        """arq's sorted set of pending job ids.

        A score ≥ 0 is the due time in ms of a job that is not admitted yet (in backoff, or from a stock arq
        client). A negative score marks a waiting or running job; its magnitude is when it was due.
        """
        return self.queue

    def waiting(self, priority: Priority) -> str:
        """Sorted set of waiting ids by admission time in server µs: first in, first out."""
        return f"{self.queue}:waiting:{priority.value}"

    @property
    def active(self) -> str:
        """Sorted set of running ids by lease expiry in server ms."""
        return f"{self.queue}:active"

    @property
    def completed(self) -> str:
        """Sorted set of completed ids by end time in server ms, bounded by retention."""
        return f"{self.queue}:completed"

    @property
    def cancelled(self) -> str:
        """Sorted set of cancelled ids by time in server ms, bounded by retention."""
        return f"{self.queue}:cancelled"

    @property
    def dead(self) -> str:
        """Sorted set of dead-letter ids by time of death in server ms. Never trimmed."""
        return f"{self.queue}:dead"

    @property
    def dead_groups(self) -> str:
        """Sorted set of error fingerprints by their number of dead letters."""
        return f"{self.queue}:dead-causes"

    @property
    def dead_group_prefix(self) -> str:
        """Prefix of a sorted set per fingerprint: its dead-letter ids by time of death in server ms."""
        return f"{self.queue}:dead-group:"

    @property
    def meta(self) -> str:
        """Hash of queue fields: pause, sequence, lifetime counters."""
        return f"{self.queue}:meta"

    @property
    def totals(self) -> str:
        """Hash of lifetime counters by priority and cause (``previewops.metrics.lifetime_counters``)."""
        return f"{self.queue}:totals"

    @property
    def wake(self) -> str:
        """List of at most one element; idle workers block on it."""
        return f"{self.queue}:wake"

    @property
    def events(self) -> str:
        """Stream of events: operator commands and notable changes."""
        return f"{self.queue}:events"

    @property
    def workers(self) -> str:
        """Sorted set of worker ids by last heartbeat in server ms."""
        return f"{self.queue}:workers"

    @property
    def worker_prefix(self) -> str:
        """Prefix of a hash per worker: the info of its last heartbeat."""
        return f"{self.queue}:worker:"

    @property
    def supervisors(self) -> str:
        """Sorted set of supervisor ids by last heartbeat in server ms."""
        return f"{self.queue}:supervisors"

    @property
    def supervisor_prefix(self) -> str:
        """Prefix of a hash per supervisor: the info of its last heartbeat."""
        return f"{self.queue}:supervisor:"

    @property
    def commands_prefix(self) -> str:
        """Prefix of a list per supervisor: ids of unacknowledged commands, oldest first."""
        return f"{self.queue}:orders:"

    @property
    def command_prefix(self) -> str:
        """Prefix of a hash per command: kind, target, operator and reply. Expires."""
        return f"{self.queue}:order:"

    @property
    def job_prefix(self) -> str:
        """Prefix of a hash per job: the record beside arq's body."""
        return f"{self.queue}:job:"

    @property
    def attempts_prefix(self) -> str:
        """Prefix of a list per job: one JSON object per failed attempt, oldest first."""
        return f"{self.queue}:attempts:"

    @property
    def bucket_prefix(self) -> str:
        """Prefix of a hash per time bucket: ``10s:<n>`` and ``1m:<n>``, n = server seconds divided by the width."""
        return f"{self.queue}:bucket:"

    @property
    def done_channel_prefix(self) -> str:
        """Prefix of the pub/sub channel that announces a job's end."""
        return f"{self.queue}:done:"

    def lua_prelude(self) -> str:
        """Returns Lua locals for all keys, which the loader puts in front of every script.

        Sending two dozen keys with every call cost more than packing all other arguments (measured: half of a
        worker's time at concurrency 2). KEYS[1] is still sent. Redis Cluster would require all keys declared,
        but arq's own keys are spread over slots, so a queue lives on one server anyway.
        """
        names = {
            "K_SCHEDULE": self.schedule,
            "K_HIGH": self.waiting(Priority.HIGH),
            "K_NORMAL": self.waiting(Priority.NORMAL),
            "K_LOW": self.waiting(Priority.LOW),
            "K_ACTIVE": self.active,
            "K_COMPLETED": self.completed,
            "K_CANCELLED": self.cancelled,
            "K_DEAD": self.dead,
            "K_DEAD_GROUPS": self.dead_groups,
            "K_META": self.meta,
            "K_TOTALS": self.totals,
            "K_WAKE": self.wake,
            "K_EVENTS": self.events,
            "K_WORKERS": self.workers,
            "K_SUPERVISORS": self.supervisors,
            "P_JOB": self.job_prefix,
            "P_ARQ_JOB": ARQ_JOB_PREFIX,
            "P_ARQ_RESULT": ARQ_RESULT_PREFIX,
            "P_ARQ_IN_PROGRESS": ARQ_IN_PROGRESS_PREFIX,
            "P_ATTEMPTS": self.attempts_prefix,
            "P_BUCKET": self.bucket_prefix,
            "P_DEAD_GROUP": self.dead_group_prefix,
            "P_WORKER": self.worker_prefix,
            "P_SUPERVISOR": self.supervisor_prefix,
            "P_ORDERS": self.commands_prefix,
            "P_ORDER": self.command_prefix,
            "P_DONE": self.done_channel_prefix,
        }
        # settings.py limits queue names to 1 to 100 of A-Z a-z 0-9 - _ . : so nothing needs escaping.
        return "".join(f"local {name} = '{key}'\n" for name, key in names.items())
