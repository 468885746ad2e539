"""Text of the dialogs before a command on dead letters: the count, the groups and the consequences."""

from __future__ import annotations

from dataclasses import dataclass

from previewops.formatting import clean, pluralize
from previewops.states import Priority
from previewops.tui.keymap import key_of
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span, clip, clip_middle, pad, width_of

MOST_PARTS = 5
"""Maximum of groups listed one by one."""

DIALOG_COLUMNS = 64
"""Width of a dialog's text without line breaks."""

_INDENT = "  "
_ERROR = 24


@dataclass(frozen=True, slots=True)
class GroupCount:
    """The number of affected dead letters of one group."""

    count: int
    error: str
    reason: str


@dataclass(frozen=True, slots=True)
class CountPreview:
    """The number of affected dead letters, with their groups, largest first, as far as they are known.

    ``cut_off_ms`` is the time of the count (server): later deaths are not included. ``filter_text`` is the filter
    that selects them, "" for none; ``sample`` has the ids of some of them.
    """

    count: int
    groups: tuple[GroupCount, ...] = ()
    cut_off_ms: int | None = None
    filter_text: str = ""
    sample: tuple[str, ...] = ()

    @property
    def rest(self) -> int:
        """The number of dead letters beyond the ``MOST_PARTS`` groups that are listed."""
        return max(0, self.count - sum(part.count for part in self.groups[:MOST_PARTS]))


def requeue_title(count: int, priority: Priority | None) -> str:
    as_what = "" if priority is None else f" as {priority.value}"
    return f"Requeue {pluralize(count, 'dead letter')}{as_what}"


def format_requeue_lines(tally: CountPreview, priority: Priority | None, *, paused: bool) -> list[Line]:
    """The dialog's text before a requeue."""
    how = "with their own priority" if priority is None else f"with priority {priority.value}"
    lines = [*format_count_lines(tally), (), (Span(f"They run again {how}. Attempts start from 0."),)]
    if paused:
        lines.append((Span("The queue is paused: they wait until it is resumed.", Tone.WARN),))
    return lines


def format_discard_lines(tally: CountPreview) -> list[Line]:
    """The dialog's text before a discard."""
    export = key_of("export", "dead")
    them = "It is" if tally.count == 1 else "They are"
    return [
        *format_count_lines(tally),
        (),
        (Span(f"{them} deleted permanently, with payloads.", Tone.BAD),),
        (Span(f"To keep them in a file, cancel and press {export} on Dead letters first.", Tone.DIM),),
    ]


def format_count_lines(tally: CountPreview) -> list[Line]:
    """The filter whole, the total, one line per group, and some ids."""
    lines: list[Line] = []
    if tally.filter_text:
        lines.append((Span("Filter: ", Tone.DIM), clean_span(tally.filter_text, Tone.WARN)))
    lines.append((Span(pluralize(tally.count, "dead letter"), Tone.STRONG), *_spread(tally)))
    named = tally.groups[:MOST_PARTS]
    rest = tally.rest
    width = max((len(f"{number:,}") for number in (*(part.count for part in named), rest)), default=1)
    errors = max((len(clean(part.error)) for part in named), default=0)
    for part in named:
        count = pad((Span(f"{part.count:,}", Tone.STRONG),), width, right=True)
        error = pad((clean_span(part.error, Tone.BAD),), min(errors, _ERROR))
        row = (Span(_INDENT), *count, Span("  "), *error, clean_span(f"  {part.reason}", Tone.DIM))
        lines.append(clip(row, DIALOG_COLUMNS))
    if rest and named:
        count = pad((Span(f"{rest:,}", Tone.STRONG),), width, right=True)
        lines.append((Span(_INDENT), *count, Span("  of other groups", Tone.DIM)))
    if tally.sample:
        lines.append(_sample_line(tally))
    return lines


def _sample_line(tally: CountPreview) -> Line:
    """Some ids, as many as fit whole, at least one."""
    label = "Ids: " if tally.count <= len(tally.sample) else "For example: "
    line: Line = (Span(label, Tone.DIM), clean_span(tally.sample[0]))
    for job_id in tally.sample[1:]:
        longer = (*line, Span(", ", Tone.DIM), clean_span(job_id))
        if width_of(longer) > DIALOG_COLUMNS:
            break
        line = longer
    room = DIALOG_COLUMNS - width_of(line[:-1])
    return (*line[:-1], *clip_middle(line[-1:], room))


def _spread(tally: CountPreview) -> Line:
    groups = len(tally.groups)
    if not groups or (tally.count == 1 and groups == 1):
        return ()
    known = sum(part.count for part in tally.groups) >= tally.count
    return (Span(f" of {pluralize(groups, 'group')}{'' if known else ' and more'}"),)
