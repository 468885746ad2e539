"""The job queue in Redis: producer, leases, dead letters, listing, filters and the Lua scripts.

``Queue`` is imported on first use: ``previewops.queue.keys`` and the other light modules need no Redis client.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from previewops.queue.queue import Queue

__all__ = ["Queue"]


def __getattr__(name: str) -> Any:
    if name != "Queue":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from previewops.queue.queue import Queue  # noqa: PLC0415 - imports redis

    return Queue
