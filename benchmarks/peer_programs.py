"""Queues that are measured beside previewops: their programs, and how they are installed.

BullMQ comes from npm into ``peers/node_modules``, Python peers from PyPI into ``peers/.venv``, each at the first run.
What cannot be installed is left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
PYTHON_PEERS = {"SAQ": "saq", "Dramatiq": "dramatiq", "Huey": "huey", "Celery": "celery"}
"""Packages of ``peers/.venv`` by the name of the peer; the program is ``peers/PACKAGE_peer.py``."""
PYTHON_PEER_JOBS = {"SAQ": 2_000, "Dramatiq": 1_000, "Huey": 5_000, "Celery": 1_000}
"""Jobs of a round: one to four seconds of work."""
INSTALL_TIMEOUT_S = 300

_ENVIRONMENT = PEERS / ".venv"
_REQUIREMENTS = PEERS / "requirements.txt"


@dataclass(frozen=True, slots=True)
class Peer:
    """A measured queue.

    ``most_jobs`` limits the jobs of a round, ``most_jobs_at`` those at a concurrency, for peers so slow that fewer
    are enough; ``rounds`` limits the rounds and ``samples`` the jobs of the latency.
    """

    command: list[str]
    most_jobs: int = sys.maxsize
    most_jobs_at: Mapping[int, int] = field(default_factory=dict)
    rounds: int = sys.maxsize
    samples: int = 300
    version: str = ""

    def jobs(self, wanted: int, concurrency: int) -> int:
        """How many of the ``wanted`` jobs a round has."""
        return min(wanted, self.most_jobs_at.get(concurrency, self.most_jobs))


def available_peers(names: frozenset[str] | None = None) -> dict[str, Peer]:
    """previewops and each peer that runs here, by name; ``names`` are those to measure (default: all)."""
    peers = {
        "previewops": Peer([sys.executable, str(PEERS / "previewops_peer.py")]),
        "arq": Peer(
            [sys.executable, str(PEERS / "arq_peer.py")],
            most_jobs=1_000,
            most_jobs_at={1: 6, 2: 12, 10: 400},  # it polls every half second
            rounds=1,
            samples=20,
        ),
    }
    if names is None or names & PYTHON_PEERS.keys():
        peers |= _python_peers()
    if names is None or "BullMQ" in names:
        command = bullmq_command()
        if command is not None:
            peers["BullMQ"] = Peer(command, version=_bullmq_version())
    return {
        name: peer for name, peer in peers.items() if names is None or name in names or name == "previewops"
    }


def bullmq_command() -> list[str] | None:
    """Command that runs the BullMQ peer, or None without node, npm or the package."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    if not (PEERS / "node_modules" / "bullmq").exists():
        quiet = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--no-package-lock"]
        if not _installs("BullMQ", quiet):
            return None
    return ["node", str(PEERS / "bullmq_peer.js")]


def _bullmq_version() -> str:
    package = PEERS / "node_modules" / "bullmq" / "package.json"
    return str(json.loads(package.read_text("utf-8"))["version"])


def peers_python() -> Path | None:
    """The interpreter of the Python peers, which has pyvips too; None if they cannot be installed."""
    python = _ENVIRONMENT / "bin" / "python"
    installed = _ENVIRONMENT / "requirements.txt"
    if not installed.exists() or installed.read_bytes() != _REQUIREMENTS.read_bytes():
        venv.create(_ENVIRONMENT, clear=True, with_pip=True)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        if not _installs("peers in Python", [*pip, "-r", str(_REQUIREMENTS)]):
            return None
        shutil.copyfile(_REQUIREMENTS, installed)
    return python


def _python_peers() -> dict[str, Peer]:
    python = peers_python()
    if python is None:
        return {}
    versions = _versions(python)
    # Dramatiq polls an idle queue, up to a second apart.
    samples: Mapping[str, int] = {"Dramatiq": 40}
    return {
        name: Peer(
            [str(python), str(PEERS / f"{package}_peer.py")],
            most_jobs=PYTHON_PEER_JOBS[name],
            samples=samples.get(name, 300),
            version=versions[package],
        )
        for name, package in PYTHON_PEERS.items()
    }


def _versions(python: Path) -> dict[str, str]:
    program = "import json, sys; from importlib.metadata import version as v; "
    program += "print(json.dumps({name: v(name) for name in sys.argv[1:]}))"
    command = [str(python), "-c", program, *PYTHON_PEERS.values()]
    return dict(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def _installs(what: str, command: list[str]) -> bool:
    print(f"installing {what} for the comparison …", file=sys.stderr)
    try:
        subprocess.run(command, cwd=PEERS, check=True, timeout=INSTALL_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        print(f"{what}: not measured: {error}", file=sys.stderr)
        return False
    return True
