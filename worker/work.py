"""The work of one job, up to the files in its staging folder: done before, or rendered now in a child process."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from previewops.clock import Clock, SystemClock
from previewops.contract import Payload
from previewops.errors import PermanentJobError, TransientJobError
from previewops.settings import Settings
from previewops.worker.assets import AssetOpener
from previewops.worker.children import Answerer, ProgressCallback
from previewops.worker.desk import JobDesk
from previewops.worker.output import FolderOutput
from previewops.worker.recipes import bundle_key, thumbnail_key
from previewops.worker.render.demands import check_bounds
from previewops.worker.render.fontfiles import FontSources
from previewops.worker.render.limits import Limits
from previewops.worker.render.storyboard import Storyboard, read_storyboard
from previewops.worker.reuse import Reuse


class Renders(Protocol):
    """What runs a build in a process that can be killed."""

    async def run(
        self,
        spec: dict[str, Any],
        *,
        deadline_s: float,
        spent_s: float = 0.0,
        edition: Hashable = None,
        progress: ProgressCallback | None = None,
        answer: Answerer | None = None,
    ) -> dict[str, Any]:
        """See ``previewops.worker.sandbox.RenderPool.run``."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """One job's work.

    ``deadline_s`` bounds the whole of ``done`` but the keeping: what fetching and hashing took, the render has less.
    """

    request: Payload
    staging: Path
    limits: Limits
    deadline_s: float
    desk: JobDesk
    digests: dict[str, str]  # by asset id, once they are known
    reuse: Reuse | None
    fonts: FontSources
    gaps: bool  # whether an asset that cannot be had leaves a gap
    clock: Clock

    @classmethod
    def of(
        cls,
        settings: Settings,
        request: Payload,
        staging: Path,
        *,
        opener: AssetOpener,
        reuse: Reuse | None,
        fonts: FontSources | None = None,
        clock: Clock | None = None,
    ) -> Work:
        """The work that a valid ``request`` asks for; nothing is opened yet.

        Raises:
            PermanentJobError: it asks for more than the settings allow, see ``check_bounds``.
        """
        limits, board = Limits.from_settings(settings), read_storyboard(request.raw)
        check_bounds(board, limits)
        digests: dict[str, str] = {}
        desk = JobDesk(
            {name: asset.ref for name, asset in board.assets.items()},
            opener,
            max_bytes=limits.asset_bytes,
            output=None if request.dry_run else FolderOutput(staging),
            store=reuse.store if reuse else None,
            thumbnail_key=partial(_thumbnail_key, board, digests),
        )
        return cls(
            request,
            staging,
            limits,
            settings.job_timeout_s,
            desk,
            digests,
            None if request.dry_run else reuse,
            fonts or FontSources(),
            board.gaps,
            clock or SystemClock(),
        )

    async def done(self, renders: Renders, progress: ProgressCallback) -> dict[str, Any]:
        """Fills the staging folder, and returns the summary.

        Raises:
            PermanentJobError, TransientJobError, RenderCrashed: as the renderer and the sandbox do.
        """
        started_s = self.clock.monotonic()
        fonts = await asyncio.to_thread(self.fonts.stamped)
        key = None if self.reuse is None else await self._key(fonts)
        if self.reuse is None or key is None:
            return await self._rendered(renders, progress, started_s, fonts, thumbnails=False)
        found = await asyncio.to_thread(self.reuse.take, key, self.request, self.staging)
        if found is not None:
            return found
        summary = await self._rendered(renders, progress, started_s, fonts, thumbnails=True)
        if self.desk.changed or await asyncio.to_thread(self.fonts.stamped) != fonts:
            return summary  # made from other assets or fonts than the key was
        await asyncio.to_thread(
            self.reuse.keep,
            key,
            self.staging,
            summary,
            self.desk.missed,
            created=self.desk.created,
        )
        return summary

    async def _rendered(
        self,
        renders: Renders,
        progress: ProgressCallback,
        started_s: float,
        fonts: FontSources,
        *,
        thumbnails: bool,
    ) -> dict[str, Any]:
        return await renders.run(
            {
                "payload": self.request.raw,
                "limits": asdict(self.limits),
                "thumbnails": thumbnails,
                "fonts": fonts.as_json(),
            },
            deadline_s=self.deadline_s,
            spent_s=self.clock.monotonic() - started_s,
            edition=fonts,
            progress=progress,
            answer=self.desk.answer,
        )

    async def _key(self, fonts: FontSources) -> str | None:
        """What the bundle is kept under; None where an asset cannot be had, and leaves a gap that is not kept."""
        assert self.reuse is not None
        deadline = asyncio.timeout(self.deadline_s)
        try:
            async with deadline:
                self.digests.update(await self.desk.digests(self.reuse.digests))
        except PermanentJobError:
            if not self.gaps:
                raise
            return None
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TransientJobError(
                "deadline-exceeded",
                f"the assets were not all there after {self.deadline_s:g} s",
                hint="use fewer or smaller assets, or raise PREVIEW_JOB_TIMEOUT_S",
                found=f"not done after {self.deadline_s:g} s",
                allowed=self.deadline_s,
            ) from None
        return bundle_key(
            self.request.request,
            self.digests,
            asdict(self.limits),
            project=self.request.project_id,
            fonts=fonts.fingerprint(),
        )


def _thumbnail_key(
    board: Storyboard, digests: Mapping[str, str], asset_id: str, decoded: tuple[int, int]
) -> str:
    return thumbnail_key(board, digests[asset_id], decoded)
