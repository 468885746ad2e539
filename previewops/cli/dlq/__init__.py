"""``previewops dlq``: dead letters. Each subcommand is loaded when it is used."""

from __future__ import annotations

from previewops.cli.lazy import Entry, LazyGroup

ENTRIES = {
    "list": Entry("previewops.cli.dlq.look:list_", "List dead letters, or their groups."),
    "show": Entry("previewops.cli.dlq.look:show", "Show one dead letter whole."),
    "requeue": Entry("previewops.cli.dlq.bulk:requeue", "Give dead letters a new life."),
    "discard": Entry("previewops.cli.dlq.bulk:discard", "Delete dead letters for good."),
    "export": Entry("previewops.cli.dlq.export:export", "Write dead letters as JSON lines."),
}

dlq = LazyGroup(
    "dlq",
    entries=ENTRIES,
    help="""Look at dead letters, the jobs that failed for good, and act on them.

\b
Examples:
  previewops dlq list --groups
  previewops dlq show lesson-1
  previewops dlq requeue --error asset-missing
  previewops dlq discard --older-than 30d
  previewops dlq export --all -o dead.jsonl
""",
)
