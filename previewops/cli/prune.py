"""``previewops prune``: frees space under DATA_DIR; a dry run unless --apply is given."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import Age, json_option
from previewops.errors import EXIT_FAILED, JobError
from previewops.formatting import pluralize
from previewops.worker.cache.store import SizedFolder, remove
from previewops.worker.prune import cache_to_evict, expired_bundles, remove_bundle

_SHOWN = 20


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
    """Report what can be removed under DATA_DIR; remove it with --apply.

    Removable are cache entries over PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S, which workers remove too,
    and with --bundles also old published bundles. Nothing else removes bundles. Job records are kept.
    """
    settings, now_s = context.settings, time.time()
    limits = replace(settings, cache_max_mb=0) if all_cache else settings
    cache = cache_to_evict(limits, now_s)
    old = []
    if bundles is not None:
        old = expired_bundles(settings.data_dir, project=project, now_s=now_s, older_than_s=bundles / 1000)
    failed = _remove(settings.data_dir, cache, old) if apply else []
    if as_json:
        print_json(
            {
                "applied": apply,
                "cache": _totals(cache),
                "bundles": {**_totals(old), "paths": [str(bundle.folder) for bundle in old]},
                "failed": failed,
            }
        )
    else:
        _print_summary(cache, old if bundles is not None else None, applied=apply)
        for line in failed:
            print_err(f"not removed: {line}")
    return EXIT_FAILED if failed else 0


def _remove(data_dir: Path, cache: Sequence[SizedFolder], bundles: Sequence[SizedFolder]) -> list[str]:
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
            if not remove_bundle(data_dir, bundle):
                failed.append(f"{bundle.folder}: is being republished")
        except FileNotFoundError:
            continue
        except (OSError, JobError) as error:
            failed.append(f"{bundle.folder}: {error}")
    return failed


def _totals(items: Sequence[SizedFolder]) -> dict[str, int]:
    return {"count": len(items), "bytes": sum(item.size_bytes for item in items)}


def _print_summary(
    cache: Sequence[SizedFolder], bundles: Sequence[SizedFolder] | None, *, applied: bool
) -> None:
    """Prints counts and sizes; ``bundles`` is None without --bundles."""
    done = "removed" if applied else "would be removed"
    print_out(f"{pluralize(len(cache), 'cache entry', 'cache entries')} {done}, {_mib(cache)}")
    if bundles is not None:
        print_out(f"{pluralize(len(bundles), 'bundle', 'bundles')} {done}, {_mib(bundles)}")
        print_out(f"  {bundle.folder}" for bundle in bundles[:_SHOWN])
        if len(bundles) > _SHOWN:
            print_out(f"  … and {len(bundles) - _SHOWN} more")
    if not applied and (cache or bundles):
        print_out("Not executed. Remove them with --apply.")


def _mib(items: Sequence[SizedFolder]) -> str:
    return f"{_totals(items)['bytes'] / 1_048_576:.1f} MiB"
