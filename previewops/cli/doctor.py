"""``previewops doctor``: checks and repairs what is stored in Redis; a dry run unless --repair is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from previewops.cli.context import Context, pass_context
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import json_option
from previewops.errors import EXIT_DAMAGED, UsageError
from previewops.formatting import clean, format_table, pluralize

if TYPE_CHECKING:
    from previewops.doctor.doctor import DoctorReport

_SHOWN = 200


@click.command(
    epilog="""\b
Examples:
  previewops doctor                     report what is damaged
  previewops doctor --repair            repair it; workers may run
  previewops doctor --json
  previewops --queue shop-dead doctor --rename-from shop:dead

\b
Exit codes: 0 nothing is damaged, or all of it was repaired; 76 damage was
found, or is left. A repair deletes no job and no payload: keys that cannot
be kept are renamed to NAME:quarantine:…
"""
)
@click.option("--repair", is_flag=True, help="Repair. Without it, only report.")
@click.option(
    "--rename-from", "old_name", metavar="OLD", help="Move the data of the unused queue OLD to this queue."
)
@json_option
@pass_context
def doctor(context: Context, repair: bool, old_name: str | None, as_json: bool) -> int:
    """Check all keys of the queue: types, fields, numbers, indexes, counters.

    Reads every job once, in small steps. Workers may run meanwhile.
    """
    from previewops.doctor.doctor import Doctor

    if old_name is not None:
        if repair:
            raise UsageError("--rename-from cannot be combined with --repair", hint="move the queue first")
        return _rename(context, old_name, as_json=as_json)

    async def run(doctor: Doctor) -> DoctorReport:
        return await (doctor.repair() if repair else doctor.examine())

    call = context.change if repair else context.call
    report = call(lambda queue: run(Doctor(queue.redis, queue.settings)))
    damaged = bool(report.count if report.left is None else report.left)
    if as_json:
        print_json(
            {
                "damaged": damaged,
                "found": report.count,
                "left": report.left,
                "findings": [finding.as_json() for finding in report.findings],
                "quarantine": list(report.quarantine),
            }
        )
    else:
        _print_report(report)
    return EXIT_DAMAGED if damaged else 0


def _rename(context: Context, old_name: str, *, as_json: bool) -> int:
    from previewops.doctor.rename import rename_queue

    moved = context.call(lambda queue: rename_queue(queue.redis, old_name, queue.settings))
    name = context.settings.queue_name
    if as_json:
        print_json({"from": old_name, "to": name, "keys": moved})
    else:
        print_out(f"moved {pluralize(moved, 'key')} of queue {old_name} to queue {name}")
    return 0


def _print_report(report: DoctorReport) -> None:
    if report.findings:
        rows = [(f.key, f.found, f.expected, f.repair) for f in report.findings[:_SHOWN]]
        print_out(format_table(("KEY", "FOUND", "EXPECTED", "REPAIR"), rows, flexible="FOUND"))
        if report.count > _SHOWN:
            print_out(f"… and {report.count - _SHOWN} more; --json lists them")
    if report.left is None:
        summary = f"{pluralize(report.count, 'finding')}" if report.count else "nothing is damaged"
        print_out(f"{summary}{'. Not executed. Repair with --repair.' if report.count else ''}")
    elif report.left:
        print_out(f"{pluralize(report.left, 'finding')} left of {report.count}; run it again")
    else:
        print_out(f"repaired {pluralize(report.count, 'finding')}" if report.count else "nothing is damaged")
    if report.quarantine:
        keys, first = pluralize(len(report.quarantine), "key"), clean(report.quarantine[0])
        print_err(f"note: {keys} in quarantine, first {first}; delete them when you have looked at them")
