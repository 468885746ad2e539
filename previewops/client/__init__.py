"""The queue for applications: submit, wait, look, cancel, straight to Redis.

``AsyncClient`` is for code that runs in an event loop, ``Client`` for all other; they have the same methods.
"""

from previewops.bundles import Artifact
from previewops.client.arguments import BadArgument
from previewops.client.async_client import AsyncClient
from previewops.client.client import Client
from previewops.client.errors import ClientClosed, JobCancelled, JobFailed, WaitTimeout
from previewops.client.results import JobResult, Progress
from previewops.queue.queue import Receipt

__all__ = [
    "Artifact",
    "AsyncClient",
    "BadArgument",
    "Client",
    "ClientClosed",
    "JobCancelled",
    "JobFailed",
    "JobResult",
    "Progress",
    "Receipt",
    "WaitTimeout",
]
