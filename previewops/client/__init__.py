"""Python client: submit jobs, wait for them, read their status, cancel them. It talks directly to Redis.

``AsyncClient`` is for code in an event loop, ``Client`` for all other code. Both have the same methods.
"""

from previewops.client.arguments import BadArgument
from previewops.client.async_client import AsyncClient
from previewops.client.client import Client
from previewops.client.errors import BatchTimeout, ClientClosed, JobCancelled, JobFailed, WaitTimeout
from previewops.client.results import JobResult, Progress
from previewops.queue.batch_errors import BatchClosed, BatchConflict, BatchNotFound, InvalidBatchId
from previewops.queue.batches import Batch, BatchState
from previewops.queue.job_links import JobLinks
from previewops.queue.queue import Receipt
from previewops.stores.port import Artifact

__all__ = [
    "Artifact",
    "AsyncClient",
    "BadArgument",
    "Batch",
    "BatchClosed",
    "BatchConflict",
    "BatchNotFound",
    "BatchState",
    "BatchTimeout",
    "Client",
    "ClientClosed",
    "InvalidBatchId",
    "JobCancelled",
    "JobFailed",
    "JobLinks",
    "JobResult",
    "Progress",
    "Receipt",
    "WaitTimeout",
]
