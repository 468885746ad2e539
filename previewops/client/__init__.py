"""The queue for applications: submit, wait, look, cancel, straight to Redis.

``AsyncClient`` is for code that runs in an event loop, ``Client`` for all other; they have the same methods.
"""

from previewops.bundles import Artifact
from previewops.client.aio import AsyncClient
from previewops.client.arguments import BadArgument
from previewops.client.failures import ClientClosed, JobCancelled, JobFailed, WaitTimeout
from previewops.client.results import JobResult, Progress
from previewops.client.sync import Client
from previewops.queue import Receipt

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
