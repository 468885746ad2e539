"""``previewops prune``: frees space under DATA_DIR and in the bucket; a dry run unless --apply is given."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import Age, json_option
from previewops.errors import EXIT_FAILED, PreviewopsError
from previewops.formatting import pluralize
from previewops.job_errors import JobError
from previewops.queue.asset_references import digests_in_use
from previewops.stores.assets import AssetStore, StoredAsset
from previewops.stores.folder.trees import remove
from previewops.stores.port import BundleStore, StoredBundle, StoredLeftovers
from previewops.stores.selection import open_assets, open_store
from previewops.worker.cache.store import SizedFolder
from previewops.worker.prune import cache_to_evict, expired_bundles

_SHOWN = 20

LEFTOVER_AGE_S = 172_800
"""Age in seconds of files in a bucket that belong to no bundle: twice the longest job."""


@click.command(
    epilog="""\b
Examples:
  previewops prune                              show removable cache entries
  previewops prune --bundles 90d                and bundles older than 90 days
  previewops prune --bundles 90d --project trial --apply
  previewops prune --assets 30d                 and uploaded files that no job needs
"""
)
@click.option("--bundles", type=Age(), help="Also bundles older than AGE: 30m, 12h, 90d.")
@click.option("--project", metavar="P", help="Only bundles with this projectId.")
@click.option(
    "--assets", type=Age(), help="Also uploaded and imported files, unused for AGE, that no job needs."
)
@click.option("--all-cache", is_flag=True, help="All cache entries, not only those over the limits.")
@click.option("--apply", "apply", is_flag=True, help="Remove. Without it, only report.")
@json_option
@pass_context
def prune(
    context: Context,
    *,
    bundles: int | None,
    project: str | None,
    assets: int | None,
    all_cache: bool,
    apply: bool,
    as_json: bool,
) -> int:
    """Report what can be removed under DATA_DIR or from the store; remove it with --apply.

    Removable are cache entries over PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S, which workers remove too,
    and with --bundles also old published bundles. Nothing else removes bundles. Job records are kept. With
    PREVIEW_STORE also files in the bucket that dead workers left, older than two days.

    --assets removes files that were uploaded or imported under their SHA-256. Their age counts from the last upload,
    import or look-up. Files are kept that a waiting, delayed, active or dead job of this queue names.
    """
    settings, now_s = context.settings, time.time()
    limits = replace(settings, cache_max_mb=0) if all_cache else settings
    store = open_store(settings)
    cache = cache_to_evict(limits, now_s)
    old = []
    if bundles is not None:
        old = expired_bundles(store, project=project, now_s=now_s, older_than_s=bundles / 1000)
    leftovers = None if settings.store is None else store.leftovers(before_s=now_s - LEFTOVER_AGE_S)
    asset_store = None if assets is None else open_assets(settings)
    unused = []
    if asset_store is not None and assets is not None:
        unused = _unused_assets(context, asset_store, before_s=now_s - assets / 1000)
    failed = _remove(store, cache, old) if apply else []
    if apply and asset_store is not None:
        failed += _remove_assets(asset_store, unused)
    if apply and leftovers is not None:
        leftovers.remove()
    if as_json:
        print_json(
            {
                "applied": apply,
                "cache": _totals(cache),
                "bundles": {**_totals(old), "paths": [bundle.location for bundle in old]},
                **({} if asset_store is None else {"assets": _totals(unused)}),
                "failed": failed,
                **({} if leftovers is None else {"leftovers": _leftover_totals(leftovers)}),
            }
        )
    else:
        _print_summary(
            cache,
            old if bundles is not None else None,
            unused if asset_store is not None else None,
            leftovers,
            applied=apply,
        )
        for line in failed:
            print_err(f"not removed: {line}")
    return EXIT_FAILED if failed else 0


def _remove(store: BundleStore, cache: Sequence[SizedFolder], bundles: Sequence[StoredBundle]) -> list[str]:
    """Removes ``cache`` entries and ``bundles``; returns one line per failure."""
    failed = []
    for entry in cache:
        try:
            remove(entry.folder)
        except FileNotFoundError:
            continue  # a worker removed it first
        except OSError as error:
            failed.append(f"{entry.folder}: {error.strerror or error}")
    for bundle in bundles:
        try:
            if not store.remove(bundle):
                failed.append(f"{bundle.location}: is being republished")
        except (PreviewopsError, JobError) as error:
            failed.append(f"{bundle.location}: {error}")
    return failed


def _unused_assets(context: Context, assets: AssetStore, *, before_s: float) -> list[StoredAsset]:
    """Returns assets without a use since ``before_s`` that no job needs.

    Lists them first: a file that a later submit names was asked for or uploaded since, so ``remove`` keeps it.
    """
    old = [asset for asset in assets.list_assets() if asset.used_s < before_s]
    if not old:
        return []
    used = context.call(lambda queue: digests_in_use(queue.redis, context.settings))
    return [asset for asset in old if asset.sha256 not in used]


def _remove_assets(assets: AssetStore, unused: Sequence[StoredAsset]) -> list[str]:
    """Removes ``unused`` assets; returns one line per failure."""
    failed = []
    for asset in unused:
        try:
            if not assets.remove(asset):
                failed.append(f"{asset.uri}: was used meanwhile")
        except PreviewopsError as error:
            failed.append(f"{asset.uri}: {error}")
    return failed


def _totals(items: Sequence[SizedFolder | StoredBundle | StoredAsset]) -> dict[str, int]:
    sizes = (item.bytes if isinstance(item, StoredAsset) else item.size_bytes for item in items)
    return {"count": len(items), "bytes": sum(sizes)}


def _print_summary(
    cache: Sequence[SizedFolder],
    bundles: Sequence[StoredBundle] | None,
    assets: Sequence[StoredAsset] | None,
    leftovers: StoredLeftovers | None,
    *,
    applied: bool,
) -> None:
    """Prints counts and sizes; ``bundles`` is None without --bundles, and ``assets`` without --assets."""
    done = "removed" if applied else "would be removed"
    print_out(f"{pluralize(len(cache), 'cache entry', 'cache entries')} {done}, {_mib(cache)}")
    if bundles is not None:
        print_out(f"{pluralize(len(bundles), 'bundle', 'bundles')} {done}, {_mib(bundles)}")
        print_out(f"  {bundle.location}" for bundle in bundles[:_SHOWN])
        if len(bundles) > _SHOWN:
            print_out(f"  … and {len(bundles) - _SHOWN} more")
    if assets is not None:
        print_out(f"{pluralize(len(assets), 'unused asset')} {done}, {_mib(assets)}")
    if leftovers is not None:
        totals = _leftover_totals(leftovers)
        count = pluralize(totals["count"], "unpublished attempt")
        print_out(f"{count} {done}, {totals['bytes'] / 1_048_576:.1f} MiB")
    if not applied and (cache or bundles or assets or (leftovers is not None and leftovers.sizes)):
        print_out("Not executed. Remove them with --apply.")


def _leftover_totals(leftovers: StoredLeftovers) -> dict[str, int]:
    return {"count": len(leftovers.sizes), "bytes": sum(leftovers.sizes.values())}


def _mib(items: Sequence[SizedFolder | StoredBundle | StoredAsset]) -> str:
    return f"{_totals(items)['bytes'] / 1_048_576:.1f} MiB"
