"""``previewops events``."""

from __future__ import annotations

import click

from previewops.cli.context import Context, pass_context, server_now_ms
from previewops.cli.output import print_err, print_json, print_out
from previewops.cli.shared_options import Age, json_option, limit_option, parse_filter_option
from previewops.clock import iso_from_ms
from previewops.formatting import clean, format_table
from previewops.queue import Queue
from previewops.queue.filter_query import FilterQuery
from previewops.snapshot.model import QueueEvent

_PAGE = 1_000


@click.command(
    epilog="""\b
Examples:
  previewops events
  previewops events --operators --since 7d
  previewops events --filter 'kind:requeued who:ana' --json

\b
The queue keeps the newest 10,000 events, and the newest PREVIEW_KEEP_ACTIONS
actions of operators: pause, requeue, discard, cancel and commands to fleets.
"""
)
@click.option("--operators", is_flag=True, help="Only what operators did, which is kept longer.")
@click.option(
    "--since", "since_ms", metavar="AGE", type=Age(), help="Only events younger than 30s, 15m, 2h or 7d."
)
@click.option(
    "--filter",
    "text",
    metavar="TEXT",
    default="",
    help="Only events that match, as in `previewops jobs --help`.",
)
@limit_option
@json_option
@pass_context
def events(
    context: Context, /, *, operators: bool, since_ms: int | None, text: str, limit: int, as_json: bool
) -> None:
    """List events of the queue, newest first."""
    from previewops.snapshot.event_log import event_as_json

    query = parse_filter_option(text)
    shown, more = context.call(lambda queue: _read(queue, operators, since_ms, query, limit))
    if as_json:
        print_json({"events": [event_as_json(event) for event in shown], "more": more})
        return
    if not shown:
        print_err("no events")
        return
    print_out(
        format_table(("TIME", "EVENT", "SUBJECT", "DESCRIPTION"), map(_row, shown), flexible="DESCRIPTION")
    )
    if more:
        print_err(f"more events than --limit {limit}")


def _row(event: QueueEvent) -> tuple[str, str, str, str]:
    from previewops.tui.viewmodel.event_text import event_description, event_subject

    text = "".join(span.text for span in event_description(event)).strip()
    time = iso_from_ms(event.at_ms)[:19].replace("T", " ")
    return time, clean(event.kind), clean(event_subject(event)), text


async def _read(
    queue: Queue, operators: bool, age_ms: int | None, query: FilterQuery, limit: int
) -> tuple[list[QueueEvent], bool]:
    from previewops.snapshot.event_log import EventLog
    from previewops.tui.viewmodel.events.feed import filter_fields

    log, before, events = EventLog(queue.redis, queue.settings), None, list[QueueEvent]()
    since_ms = 0 if age_ms is None else max(0, await server_now_ms(queue.redis) - age_ms)
    while True:
        page = await log.page(operators=operators, before=before, since_ms=since_ms, limit=_PAGE)
        events += (event for event in page.events if query.matches(filter_fields(event)))
        before = page.next_id
        if before is None or len(events) > limit:
            return events[:limit], len(events) > limit
