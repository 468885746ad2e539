"""Prepares one job, looks it up in the cache, or renders it in a child process, up to its staging folder."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol

from previewops.clock import Clock, SystemClock
from previewops.contract import Payload
from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.settings import Settings
from previewops.worker.assets.opener import AssetOpener
from previewops.worker.cache.keys import bundle_key, thumbnail_key
from previewops.worker.cache.render_cache import RenderCache
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.limit_checks import check_limits
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.sandbox.children import ProgressCallback, RequestHandler, ResultCheck
from previewops.worker.sandbox.file_server import FileServer
from previewops.worker.summary import check_summary
from previewops.worker.themes.definition import ThemeDefinition


class RenderRunner(Protocol):
    """Runs a build in a process that can be killed."""

    async def run(
        self,
        spec: dict[str, Any],
        *,
        deadline_s: float,
        elapsed_s: float = 0.0,
        generation: Hashable = None,
        common: Mapping[str, Any] | None = None,
        progress: ProgressCallback | None = None,
        handle_request: RequestHandler | None = None,
        check_result: ResultCheck | None = None,
    ) -> dict[str, Any]:
        """See ``previewops.worker.sandbox.pool.RenderPool.run``."""
        ...


@dataclass(frozen=True, slots=True)
class RenderTask:
    """The render of one job.

    ``deadline_s`` limits ``run`` except storing in the cache: the render gets what fetching and hashing leave.
    """

    request: Payload
    staging: Path
    limits: RenderLimits
    deadline_s: float
    file_server: FileServer
    digests: dict[str, str]  # by asset id; empty until the assets are hashed
    cache: RenderCache | None
    fonts: FontSources
    allow_gaps: bool  # whether a missing asset leaves a gap
    theme: ThemeDefinition | None
    clock: Clock

    @classmethod
    def prepare(
        cls,
        settings: Settings,
        request: Payload,
        staging: Path,
        *,
        opener: AssetOpener,
        cache: RenderCache | None,
        fonts: FontSources | None = None,
        theme: ThemeDefinition | None = None,
        clock: Clock | None = None,
    ) -> RenderTask:
        """Prepares the task of a valid ``request``; opens nothing yet. ``theme`` is the named one that it chooses.

        Raises:
            PermanentJobError: it exceeds the limits of the settings, see ``check_limits``; or theme-unknown.
        """
        limits, storyboard = RenderLimits.from_settings(settings), read_storyboard(request.raw, theme)
        check_limits(storyboard, limits)
        digests: dict[str, str] = {}
        file_server = FileServer(
            {name: asset.ref for name, asset in storyboard.assets.items()},
            opener,
            max_bytes=limits.asset_bytes,
            output=None if request.dry_run else FolderOutput(staging),
            store=cache.store if cache else None,
            thumbnail_key=lambda name, decoded: thumbnail_key(
                storyboard, digests[name], decoded, page=storyboard.assets[name].page
            ),
        )
        return cls(
            request,
            staging,
            limits,
            settings.job_timeout_s,
            file_server,
            digests,
            None if request.dry_run else cache,
            fonts or FontSources(),
            storyboard.allow_gaps,
            theme,
            clock or SystemClock(),
        )

    async def run(self, renders: RenderRunner, progress: ProgressCallback) -> dict[str, Any]:
        """Fills the staging folder, and returns the summary.

        Raises:
            PermanentJobError, TransientJobError, RenderCrashed: from the renderer and the sandbox.
        """
        started_s = self.clock.monotonic()
        fonts = await asyncio.to_thread(self.fonts.with_stamps)
        key = None if self.cache is None else await self._cache_key(fonts)
        if self.cache is None or key is None:
            return await self._render(renders, progress, started_s, fonts, thumbnails=False)
        summary = await asyncio.to_thread(self.cache.find, key, self.request, self.staging)
        if summary is not None:
            return summary
        summary = await self._render(renders, progress, started_s, fonts, thumbnails=True)
        if self.file_server.asset_changed or await asyncio.to_thread(self.fonts.with_stamps) != fonts:
            return summary  # the key was made from other assets or fonts
        await asyncio.to_thread(
            self.cache.put,
            key,
            self.staging,
            summary,
            self.file_server.missed_thumbnails,
            created_paths=self.file_server.created_paths,
        )
        return summary

    async def _render(
        self,
        renders: RenderRunner,
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
                "theme": self.theme.as_json() if self.theme else None,
            },
            deadline_s=self.deadline_s,
            elapsed_s=self.clock.monotonic() - started_s,
            generation=fonts,
            common=_font_fields(fonts),
            progress=progress,
            handle_request=self.file_server.handle,
            check_result=partial(check_summary, dry_run=self.request.dry_run),
        )

    async def _cache_key(self, fonts: FontSources) -> str | None:
        """The bundle's cache key; None if an asset is missing and leaves a gap: such a bundle is not cached."""
        assert self.cache is not None
        deadline = asyncio.timeout(self.deadline_s)
        try:
            async with deadline:
                self.digests.update(await self.file_server.hash_assets(self.cache.digests))
        except PermanentJobError:
            if not self.allow_gaps:
                raise
            return None
        except TimeoutError:
            if not deadline.expired():
                raise
            raise TransientJobError(
                "deadline-exceeded",
                f"the assets were not complete after {self.deadline_s:g} s",
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
            theme=self.theme.digest if self.theme else None,
        )


@lru_cache(maxsize=1)
def _font_fields(fonts: FontSources) -> dict[str, Any]:
    return {"fonts": fonts.as_json()}
