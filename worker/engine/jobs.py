"""The one job function, ``render_preview``: a payload in, a bundle or a dry-run plan out."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from previewops.clock import Rng, system_rng
from previewops.contract import AssetPolicy, Payload, validate
from previewops.errors import InvalidPayload
from previewops.job_errors import PermanentJobError, StaleToken, TransientJobError
from previewops.queue.leases import Claim, Leases
from previewops.settings import Settings
from previewops.states import ScriptResult
from previewops.stores.port import BundleStore, Publication
from previewops.stores.staging import STAGING_FOLDER, staging_path
from previewops.theme_names import BUILT_IN_THEMES
from previewops.worker.assets.buckets import BucketFetcher
from previewops.worker.assets.download_cache import DownloadCache, Fetcher
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.cache.render_cache import RenderCache
from previewops.worker.engine.execution import JobRun, LeaseLost
from previewops.worker.engine.redis_retry import retry_until_connected
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render_task import RenderRunner, RenderTask
from previewops.worker.store_monitor import StoreMonitor
from previewops.worker.themes.definition import ThemeDefinition
from previewops.worker.themes.folder import ThemeFolder

log = structlog.get_logger()

MIB = 1024 * 1024

BUILD_TASK = "previewops.worker.bundle_builder:build"
PRELOAD_MODULES = ("previewops.worker.bundle_builder",)

STORE_FAILURES = frozenset(
    {"store-unavailable", "store-denied", "store-missing", "disk-full", "data-dir-unusable"}
)
"""Codes of publications that failed because of the store, and not because of the job or another attempt."""


@dataclass(frozen=True, slots=True)
class RenderJobs:
    """Job functions of one worker.

    ``store`` receives the bundles, ``fetcher`` and ``buckets`` download assets if hosts or
    buckets are allowed, ``cache`` has old results. ``monitor`` gets the results of publications. ``themes`` are the
    named ones.
    """

    settings: Settings
    runner: RenderRunner
    roots: tuple[Path, ...]
    store: BundleStore
    fonts: FontSources = field(default_factory=FontSources)
    fetcher: Fetcher | None = None
    cache: RenderCache | None = None
    rng: Rng = field(default_factory=system_rng)
    buckets: BucketFetcher | None = None
    monitor: StoreMonitor | None = None
    themes: ThemeFolder = field(default_factory=lambda: ThemeFolder(None))

    async def render_preview(
        self, ctx: dict[Any, Any], payload: Any, *, reuse: bool = True
    ) -> dict[str, Any]:
        """Validates, renders in a child process, and publishes under the claim's fencing token.

        Without ``reuse`` it renders even if the cache has the result, which it replaces (lua/run_again.lua).

        Raises:
            PermanentJobError, TransientJobError, RenderCrashed: from the contract, the renderer, the sandbox and
                the publication.
            LeaseLost: another worker may hold the job; nothing was published.
        """
        run: JobRun = ctx["run"]
        request = self._validated(run.claim, payload)
        staging = staging_path(self.settings.data_dir, request.job_id, int(run.claim.token))
        theme = await self._find_theme(request)
        downloads = self._make_download_cache()
        task = RenderTask.prepare(
            self.settings,
            request,
            staging,
            opener=FileAssetOpener(self.roots, downloads, data_dir=self.settings.data_dir),
            cache=self.cache if reuse or self.cache is None else self.cache.write_only(),
            fonts=self.fonts,
            theme=theme,
        )
        try:
            summary = await task.run(self.runner, run.report_progress)
            if not request.dry_run:
                if self.store.remote:
                    run.release_slot()
                publication = await self._publish(ctx["leases"], run.claim, request, staging)
                summary["bundle"] = publication.location
        except BaseException:
            # Also when the child was killed.
            shutil.rmtree(staging, ignore_errors=True)
            raise
        finally:
            if downloads is not None:
                downloads.close()
        reused = summary.get("reused", False)
        log.info("job.rendered", ms=round(run.elapsed_ms), dryRun=request.dry_run, reused=reused)
        return summary

    async def _find_theme(self, request: Payload) -> ThemeDefinition | None:
        """The named theme of a job. A job without one does not wait for a thread."""
        if request.request.get("options", {}).get("theme", BUILT_IN_THEMES[0]) in BUILT_IN_THEMES:
            return None
        return await asyncio.to_thread(self.themes.find, request.request)

    def _make_download_cache(self) -> DownloadCache | None:
        """The job's downloads, beside its staging folder: on a disk, and swept if they are left behind."""
        if self.fetcher is None and self.buckets is None:
            return None
        total_bytes = self.settings.fetch_max_mb * MIB
        return DownloadCache(
            self.fetcher,
            buckets=self.buckets,
            total_bytes=total_bytes,
            spool=self.settings.data_dir / STAGING_FOLDER,
        )

    def _validated(self, claim: Claim, payload: Any) -> Payload:
        """The validated payload: stock arq clients can enqueue anything."""
        try:
            policy = AssetPolicy(
                self.roots,
                self.settings.asset_hosts,
                self.settings.data_dir,
                buckets=self.settings.effective_asset_buckets,
            )
            request = validate(payload, policy=policy)
        except InvalidPayload as error:
            raise PermanentJobError(
                "invalid-payload",
                error.message,
                hint="see `previewops validate`",
                template=error.violations[0].code if error.violations else "",
                violations=[violation.as_json() for violation in error.violations],
            ) from error
        if request.job_id != claim.job_id:
            raise PermanentJobError(
                "job-id-mismatch",
                f"jobId: found {request.job_id} in the payload, {claim.job_id} in the queue",
                hint="enqueue with _job_id equal to the payload's jobId",
                found=request.job_id,
                allowed=claim.job_id,
            )
        return request

    async def _publish(self, leases: Leases, claim: Claim, request: Payload, staging: Path) -> Publication:
        """Renews the lease, then publishes. The fence rejects the publication if the lease is lost in between."""
        await self._check_lease(leases, claim)
        publishing = asyncio.ensure_future(
            asyncio.to_thread(
                self.store.publish, staging, request.project_id, request.job_id, token=int(claim.token)
            )
        )
        try:
            publication = await _await_publication(publishing)
            self._note_store("")
            return publication
        except TransientJobError as error:
            if error.code in STORE_FAILURES:
                self._note_store(error.message)
            raise
        except StaleToken as error:
            newest = error.newest
            await self._check_lease(leases, claim)
            # The lease holds, and yet a larger token has published: Redis lost that token, by a fail-over to a
            # server without the last writes whose clock is behind. The next attempt gets a larger one.
            log.error("fence.token-ahead", token=int(claim.token), newest=newest)
            await retry_until_connected(lambda: leases.bump_fencing_token(newest), self.rng)
            raise

    def _note_store(self, problem: str) -> None:
        if self.monitor is None:
            return
        if problem:
            self.monitor.record_failure(problem)
        else:
            self.monitor.record_success()

    async def _check_lease(self, leases: Leases, claim: Claim) -> None:
        code = await retry_until_connected(lambda: leases.renew(claim), self.rng)
        if code is not ScriptResult.OK:
            raise LeaseLost


async def _await_publication(publishing: asyncio.Future[Publication]) -> Publication:
    """Waits until a publication ends, however often the wait is cancelled. Then raises the cancellation.

    A thread cannot be stopped. A caller that continued earlier would remove the staging folder, or what it has
    become, under a bundle that readers see.
    """
    cancelled: asyncio.CancelledError | None = None
    while not publishing.done():
        try:
            await asyncio.wait({publishing})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        # Retrieved, so that asyncio does not log it as never retrieved.
        publishing.exception()
        raise cancelled
    return publishing.result()
