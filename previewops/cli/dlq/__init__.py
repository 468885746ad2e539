"""``previewops dlq``: dead letters. Subcommands are imported when they are used."""

from __future__ import annotations

from previewops.cli.lazy_group import LazyCommand, LazyGroup

COMMANDS = {
    "list": LazyCommand("previewops.cli.dlq.show:list_", "List dead letters or their groups."),
    "show": LazyCommand("previewops.cli.dlq.show:show", "Show one dead letter in full."),
    "requeue": LazyCommand("previewops.cli.dlq.bulk:requeue", "Requeue dead letters."),
    "discard": LazyCommand("previewops.cli.dlq.bulk:discard", "Delete dead letters permanently."),
    "export": LazyCommand("previewops.cli.dlq.export:export", "Write dead letters as JSON Lines."),
}

dlq = LazyGroup(
    "dlq",
    entries=COMMANDS,
    help="""List, show, requeue, discard or export dead letters, the jobs that failed permanently.

\b
Examples:
  previewops dlq list --groups
  previewops dlq show lesson-1
  previewops dlq requeue --error asset-missing
  previewops dlq discard --older-than 30d
  previewops dlq export --all -o dead.jsonl
""",
)
