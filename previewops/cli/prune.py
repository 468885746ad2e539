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
from previewops.stores.folder.trees import remove
from previewops.stores.port import BundleStore, StoredBundle, StoredLeftovers
from previewops.stores.selection import open_store
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
"""
)
@click.option("--bundles", type=Age(), help="Also bundles older than AGE: 30m, 12h, 90d.")
@click.option("--project", metavar="P", help="Only bundles with this projectId.")
@click.option("--all-cache", is_flag=True, help="All cache entries, not only those over the limits.")
@click.option("--apply", "apply", is_flag=True, help="Remove. Without it, only report.")
@json_option
@pass_context
def prune(
    context: Context,
    *,
    bundles: int | None,
    project: str | None,
    all_cache: bool,
    apply: bool,
    as_json: bool,
) -> int:
    """Report what can be removed under DATA_DIR or from the store; remove it with --apply.

    Removable are cache entries over PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S, which workers remove too,
    and with --bundles also old published bundles. Nothing else removes bundles. Job records are kept. With
    PREVIEW_STORE also files in the bucket that dead workers left, older than two days.
    """
    settings, now_s = context.settings, time.time()
    limits = replace(settings, cache_max_mb=0) if all_cache else settings
    store = open_store(settings)
    cache = cache_to_evict(limits, now_s)
    old = []
    if bundles is not None:
        old = expired_bundles(store, project=project, now_s=now_s, older_than_s=bundles / 1000)
    leftovers = None if settings.store is None else store.leftovers(before_s=now_s - LEFTOVER_AGE_S)
    failed = _remove(store, cache, old) if apply else []
    if apply and leftovers is not None:
        leftovers.remove()
    if as_json:
        print_json(
            {
                "applied": apply,
                "cache": _totals(cache),
                "bundles": {**_totals(old), "paths": [bundle.location for bundle in old]},
                "failed": failed,
                **({} if leftovers is None else {"leftovers": _leftover_totals(leftovers)}),
            }
        )
    else:
        _print_summary(cache, old if bundles is not None else None, leftovers, applied=apply)
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


def _totals(items: Sequence[SizedFolder | StoredBundle]) -> dict[str, int]:
    return {"count": len(items), "bytes": sum(item.size_bytes for item in items)}


def _print_summary(
    cache: Sequence[SizedFolder],
    bundles: Sequence[StoredBundle] | None,
    leftovers: StoredLeftovers | None,
    *,
    applied: bool,
) -> None:
    """Prints counts and sizes; ``bundles`` is None without --bundles."""
    done = "removed" if applied else "would be removed"
    print_out(f"{pluralize(len(cache), 'cache entry', 'cache entries')} {done}, {_mib(cache)}")
    if bundles is not None:
        print_out(f"{pluralize(len(bundles), 'bundle', 'bundles')} {done}, {_mib(bundles)}")
        print_out(f"  {bundle.location}" for bundle in bundles[:_SHOWN])
        if len(bundles) > _SHOWN:
            print_out(f"  … and {len(bundles) - _SHOWN} more")
    if leftovers is not None:
        totals = _leftover_totals(leftovers)
        count = pluralize(totals["count"], "unpublished attempt")
        print_out(f"{count} {done}, {totals['bytes'] / 1_048_576:.1f} MiB")
    if not applied and (cache or bundles or (leftovers is not None and leftovers.sizes)):
        print_out("Not executed. Remove them with --apply.")


def _leftover_totals(leftovers: StoredLeftovers) -> dict[str, int]:
    return {"count": len(leftovers.sizes), "bytes": sum(leftovers.sizes.values())}


def _mib(items: Sequence[SizedFolder | StoredBundle]) -> str:
    return f"{_totals(items)['bytes'] / 1_048_576:.1f} MiB"
