"""``sandbox_tasks`` on a kernel whose Landlock does not restrict signals: imported before confinement."""

from __future__ import annotations

from previewops.worker.sandbox import confinement
from tests.integration.sandbox_tasks import run

__all__ = ["run"]

confinement.detect_support = lambda: confinement.KernelSupport(5)
