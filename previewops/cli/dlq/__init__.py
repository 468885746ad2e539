"""``previewops dlq``: dead letters. Each subcommand is loaded when it is used."""

from __future__ import annotations

from previewops.cli.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "list": LazyCommand("previewops.cli.dlq.show:list_", "List dead letters, or their groups."),
    "show": LazyCommand("previewops.cli.dlq.show:show", "Show one dead letter whole."),
    "requeue": LazyCommand("previewops.cli.dlq.bulk:requeue", "Give dead letters a new life."),
    "discard": LazyCommand("previewops.cli.dlq.bulk:discard", "Delete dead letters for good."),
    "export": LazyCommand("previewops.cli.dlq.export:export", "Write dead letters as JSON lines."),
}

dlq = LazyGroup(
    "dlq",
    entries=COMMANDS,
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
