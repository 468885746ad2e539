"""What tests do with the previewops that is installed in the machine."""

from __future__ import annotations

import json
from typing import Any

from tests.system.machine import PREVIEWOPS, Machine


def payload(job_id: str) -> str:
    return json.dumps(
        {
            "jobId": job_id,
            "projectId": "lessons",
            "requestId": job_id,
            "dryRun": False,
            "previewRequest": {
                "title": "A lesson",
                "steps": [{"text": "One step"}],
                "assets": [],
                "audio": {},
            },
        }
    )


def render(machine: Machine, job_id: str) -> None:
    """Has a job done from end to end."""
    machine.run(str(PREVIEWOPS), "submit", "--wait", "-", stdin=payload(job_id))


def status(machine: Machine, pid: int) -> dict[str, str]:
    lines = machine.run("cat", f"/proc/{pid}/status").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def stats(machine: Machine) -> Any:
    return json.loads(machine.run(str(PREVIEWOPS), "stats", "--json"))
