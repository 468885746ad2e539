"""``previewops alive``: checks the processes of this container or host for liveness probes, without Redis."""

from __future__ import annotations

from collections.abc import Sequence

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_json, print_out
from previewops.cli.shared_options import Age, json_option
from previewops.errors import PreviewopsError
from previewops.process.alive import ProcessSign, Role, alive_prefix, read_signs


@click.command(
    epilog="""\b
Examples:
  previewops alive
  previewops alive --max-age 1m
"""
)
@click.option(
    "--max-age",
    metavar="AGE",
    type=Age(min_ms=1_000),
    default="30s",
    show_default=True,
    help="Maximum time since the last sign of a process: 30s, 1m.",
)
@json_option
@pass_context
def alive(context: Context, max_age: int, as_json: bool) -> None:
    """Exit with 0 if the supervisor, API and workers that run here are alive; a supervisor answers for its workers.

    For liveness probes of containers. A process is alive while its event loop runs; whether Redis is available does
    not matter. Signs are files in /tmp, so run the check in the same container, as the same user, with the same
    DATA_DIR and queue.
    """
    settings = context.settings
    prefix = alive_prefix(settings.data_dir, settings.queue_name)
    try:
        signs = read_signs(prefix)
    except PermissionError as error:
        raise PreviewopsError(
            f"{error.filename}: {error.strerror}", hint="remove it and restart the processes"
        ) from error
    if not signs:
        raise PreviewopsError(
            f"no supervisor, worker or API of queue {settings.queue_name} with this DATA_DIR runs here",
            hint="run it in the same container and as the same user; they need a writable /tmp",
        )
    _require_progress(_judged(signs), max_age / 1000)
    if as_json:
        processes = [
            {"role": sign.role, "pid": sign.pid, "ageMs": round(sign.age_s * 1000)} for sign in signs
        ]
        print_json({"alive": True, "processes": processes})
    else:
        print_out(f"{sign.role} {sign.pid}: alive {sign.age_s:.1f} s ago" for sign in signs)


def _judged(signs: Sequence[ProcessSign]) -> Sequence[ProcessSign]:
    """Returns the signs that decide: a supervisor replaces its hung workers itself."""
    if any(sign.role is Role.SUPERVISOR for sign in signs):
        return [sign for sign in signs if sign.role is not Role.WORKER]
    return signs


def _require_progress(signs: Sequence[ProcessSign], max_age_s: float) -> None:
    hung = [sign for sign in signs if sign.age_s > max_age_s]
    if hung:
        processes = ", ".join(f"{sign.role} {sign.pid} for {sign.age_s:.0f} s" for sign in hung)
        raise PreviewopsError(
            f"no progress: found {processes}, allowed {max_age_s:.0f} s",
            hint="SIGABRT makes the process write its stack to its log and exit",
        )
