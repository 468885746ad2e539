"""Events as text."""

from __future__ import annotations

from collections.abc import Mapping

from previewops.clock import iso_from_ms
from previewops.formatting import clean, format_duration, pluralize
from previewops.snapshot.model import QueueEvent
from previewops.tui.viewmodel.clock_text import wall_clock
from previewops.tui.viewmodel.events.fields import describe_field
from previewops.tui.viewmodel.safe_numbers import parse_count
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

KIND_COLUMNS = 14
"""Width of the kind in one line."""

_SUBJECTS: Mapping[str, tuple[str, ...]] = {"command": ("target", "host"), "project-limits": ("project",)}
"""Fields that name what an event is about, where it is neither a job nor a worker or check."""

_TONES: Mapping[str, Tone] = {
    "dead": Tone.BAD,
    "data-lost": Tone.BAD,
    "worker-lost": Tone.BAD,
    "worker-exited": Tone.WARN,
    "entry-rejected": Tone.WARN,
    "recovered": Tone.WARN,
    "retry": Tone.WARN,
    "paused": Tone.WARN,
    "discarded": Tone.WARN,
    "deleted": Tone.WARN,
    "replaced": Tone.WARN,
    "cancelled": Tone.WARN,
    "run-again": Tone.GOOD,
    "resumed": Tone.GOOD,
    "requeued": Tone.GOOD,
    "command": Tone.INFO,
}

_SHOWN_BY_ITSELF = ("job", "worker", "check", "message", "who", "why", "class", "cause", "code")
_SHOWN_OF_COMMANDS = (*_SHOWN_BY_ITSELF, "act", "target", "host", "outcome")


_PHRASES: Mapping[str, str] = {
    "left": "{} left",
    "skipped": "{} skipped",
    "fingerprint": "of group {}",
    "priority": "with priority {}",
    "edited": "with an edited payload",
    "was": "it was {}",
    "errors": "errors {}",
    "project": "of project {}",
    "batch": "of batch {}",
    "filter": "filter {}",
    "key": "key {}",
    "field": "field {}",
    "limits": "limits: {}",
    "outcome": "{}",
    "level": "up to {}",
    "now": "run now",
    "untilMs": "until {}",
    "olderThanMs": "older than {}",
    "digestBefore": "old payload {}",
    "digestAfter": "new payload {}",
}
"""Fields of events in words."""

_NOT_WORTH_SAYING = frozenset({("skipped", "0"), ("now", "0")})

_COUNTED: Mapping[str, str] = {"done": "job", "jobs": "running job"}
"""Fields that count something."""


def format_event_line(event: QueueEvent, *, local_time: bool = False) -> Line:
    """One line: time, kind, subject, and description."""
    clock = wall_clock(event.at_ms, local=local_time)[11:19]
    return (
        Span(f"{clock} ", Tone.DIM),
        Span(f"{clean(event.kind):<{KIND_COLUMNS}.{KIND_COLUMNS}} ", tone_of(event)),
        *format_event(event),
    )


def tone_of(event: QueueEvent) -> Tone:
    """The tone of an event's kind."""
    return _TONES.get(event.kind, Tone.TEXT)


def format_event(event: QueueEvent) -> Line:
    """Subject and description of an event."""
    about = event_subject(event)
    return (*((clean_span(f"{about} ", Tone.STRONG),) if about else ()), *event_description(event))


def event_subject(event: QueueEvent) -> str:
    """The job, worker, host or health check of an event, "" for the queue itself."""
    fields = event.fields
    names = _SUBJECTS.get(event.kind, ("job", "worker", "check"))
    return next((fields[name] for name in names if fields.get(name)), "")


def event_description(event: QueueEvent) -> Line:
    """What happened, the operator and the reason."""
    fields = event.fields
    is_command = event.kind == "command"
    about = event_subject(event)
    shown = _SHOWN_OF_COMMANDS if is_command else (*_SHOWN_BY_ITSELF, *_SUBJECTS.get(event.kind, ()))
    parts: list[Span] = []
    if is_command:
        act = fields.get("act", "")
        if not fields.get("message", "").startswith(act):
            parts.append(clean_span(f"{act} ", Tone.STRONG))
        if fields.get("outcome") == "refused":
            parts.append(Span("rejected: ", Tone.BAD))
    if fields.get("message"):
        parts.append(clean_span(f"{fields['message']} "))
    extra = [
        _extra(name, value)
        for name, value in fields.items()
        if value and name not in shown and (name, value) not in _NOT_WORTH_SAYING
    ]
    if fields.get("worker") and fields["worker"] != about:
        extra.insert(0, f"on {fields['worker']}")
    if extra:
        parts.append(clean_span(f"{' ' if parts else ''}{', '.join(extra)}  ", Tone.DIM))
    if fields.get("who"):
        parts.append(clean_span(f"by {fields['who']}", Tone.INFO))
    if fields.get("why"):
        parts.append(clean_span(f": {fields['why']}"))
    return tuple(parts)


def _extra(name: str, value: str) -> str:
    delay_ms = parse_count(value) if name == "delayMs" else None
    if delay_ms is not None:
        return f"retry in {format_duration(delay_ms)}"
    due_ms = parse_count(value) if name == "dueMs" else None
    if due_ms is not None:
        return f"due at {iso_from_ms(due_ms)[:19]}Z"
    number = parse_count(value) if name in _COUNTED else None
    if number is not None:
        return pluralize(number, _COUNTED[name])
    words = _PHRASES.get(name)
    return f"{name} {value}" if words is None else words.format(describe_field(name, value)[1])
