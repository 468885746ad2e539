"""``previewops prune``: makes room under DATA_DIR. Says first what would go."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.errors import EXIT_FAILED, JobError
from previewops.formatting import parse_age_ms, pluralize

if TYPE_CHECKING:
    from previewops.worker.cache.store import SizedFolder

_SHOWN = 20


def _age_s(ctx: click.Context, param: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    found = parse_age_ms(value)
    if found is None:
        raise click.BadParameter("allowed are ages such as 30m, 12h or 90d", ctx, param)
    return found / 1000


@click.command(
    epilog="""\b
Examples:
  previewops prune                              what would be forgotten for reuse
  previewops prune --bundles 90d                and bundles made more than 90 days ago
  previewops prune --bundles 90d --project trial --apply
"""
)
@click.option("--bundles", metavar="AGE", callback=_age_s, help="Bundles made longer ago too: 30m, 12h, 90d.")
@click.option("--project", metavar="P", help="Of bundles only those of this projectId.")
@click.option(
    "--all-cache", is_flag=True, help="Everything that is kept for reuse, not only what is too much."
)
@click.option("--apply", "apply", is_flag=True, help="Do it. Without this nothing is removed.")
@json_option
@pass_context
def prune(
    context: Context,
    *,
    bundles: float | None,
    project: str | None,
    all_cache: bool,
    apply: bool,
    as_json: bool,
) -> int:
    """Say what can be removed under DATA_DIR, and with --apply remove it.

    That is what is kept for reuse beyond PREVIEW_CACHE_MAX_MB and PREVIEW_CACHE_MAX_AGE_S, which workers remove
    by themselves as well, and, where --bundles says how old, published bundles, which nothing else ever removes.
    The records of their jobs stay.
    """
    from dataclasses import replace

    from previewops.worker.prune import cache_to_evict, expired_bundles

    settings, now_s = context.settings, time.time()
    bounds = replace(settings, cache_max_mb=0) if all_cache else settings
    cache = cache_to_evict(bounds, now_s)
    old = (
        []
        if bundles is None
        else expired_bundles(settings.data_dir, project=project, now_s=now_s, older_than_s=bundles)
    )
    failed = _remove(settings.data_dir, cache, old) if apply else []
    if as_json:
        print_json(
            {
                "applied": apply,
                "cache": _totals(cache),
                "bundles": {**_totals(old), "paths": [str(each.folder) for each in old]},
                "failed": failed,
            }
        )
    else:
        _say(cache, old if bundles is not None else None, applied=apply)
        for line in failed:
            print_err(f"not removed: {line}")
    return EXIT_FAILED if failed else 0


def _remove(data_dir: Path, cache: Sequence[SizedFolder], bundles: Sequence[SizedFolder]) -> list[str]:
    """What could not be removed, a line each."""
    from previewops.worker.cache.store import remove
    from previewops.worker.prune import remove_bundle

    failed = []
    for entry in cache:
        try:
            remove(entry.folder)
        except FileNotFoundError:
            continue  # a worker was first
        except OSError as error:
            failed.append(f"{entry.folder}: {error.strerror or error}")
    for bundle in bundles:
        try:
            if not remove_bundle(data_dir, bundle):
                failed.append(f"{bundle.folder}: it is being published anew")
        except FileNotFoundError:
            continue
        except (OSError, JobError) as error:
            failed.append(f"{bundle.folder}: {error}")
    return failed


def _totals(items: Sequence[SizedFolder]) -> dict[str, int]:
    return {"count": len(items), "bytes": sum(item.size_bytes for item in items)}


def _say(cache: Sequence[SizedFolder], bundles: Sequence[SizedFolder] | None, *, applied: bool) -> None:
    """What goes; of ``bundles`` nothing if they were not asked about."""
    done = "removed" if applied else "would be removed"
    print_out(f"{pluralize(len(cache), 'entry', 'entries')} kept for reuse {done}, {_mib(cache)}")
    if bundles is not None:
        print_out(f"{pluralize(len(bundles), 'bundle', 'bundles')} {done}, {_mib(bundles)}")
        print_out(f"  {bundle.folder}" for bundle in bundles[:_SHOWN])
        if len(bundles) > _SHOWN:
            print_out(f"  … and {len(bundles) - _SHOWN} more")
    if not applied and (cache or bundles):
        print_out("nothing was removed; --apply does it")


def _mib(items: Sequence[SizedFolder]) -> str:
    return f"{_totals(items)['bytes'] / 1_048_576:.1f} MiB"
