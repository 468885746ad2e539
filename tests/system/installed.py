"""Uses of the previewops that is installed in the machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tests.system.machine import PREVIEWOPS, Machine

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG file of one pixel, in base64."""


def payload(job_id: str, image_format: str = "webp", assets: Sequence[str] = ()) -> str:
    """Returns a storyboard of two steps, the first with all of ``assets`` (URIs)."""
    return json.dumps(
        {
            "jobId": job_id,
            "projectId": "lessons",
            "requestId": job_id,
            "dryRun": False,
            "previewRequest": {
                "title": "A lesson",
                "steps": [{"text": "One step", "assetIds": list(assets)}, {"text": "Another step"}],
                "assets": [{"id": uri, "uri": uri} for uri in assets],
                "audio": {},
                "options": {"format": image_format},
            },
        }
    )


def render(machine: Machine, *payloads: str) -> None:
    """Submits jobs and waits until they have ended."""
    machine.write("/run/jobs.jsonl", "".join(f"{one}\n" for one in payloads))
    machine.run(str(PREVIEWOPS), "submit", "--wait", "/run/jobs.jsonl")


def status(machine: Machine, pid: int) -> dict[str, str]:
    lines = machine.run("cat", f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stats(machine: Machine) -> Any:
    return json.loads(machine.run(str(PREVIEWOPS), "stats", "--json"))
