"""The health screen: overall result, each check with its advice, and the measured figures."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import clean, format_bytes, pluralize
from previewops.health import Check, Health, PerfdataValue, Status
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.alarms import WORST_FIRST
from previewops.tui.viewmodel.health.silences import format_silence
from previewops.tui.viewmodel.queue_status import STATUS_MARKS, connection_loss_text
from previewops.tui.viewmodel.spans import Line, Span, Tone, beside, clean_span, pad, width_of
from previewops.tui.viewmodel.wrap import hang, wrap

_WORDS = {
    Status.OK: "the queue is healthy",
    Status.WARNING: "the queue needs attention",
    Status.CRITICAL: "the queue needs help now",
    Status.UNKNOWN: "the queue's health is unknown",
}
DATA_LOSS_LINES: tuple[Line, ...] = (
    (Span("Redis lost the queue's data: jobs that were pending then are gone."),),
    (),
    (Span("Bundles are kept. End the alarm after you have submitted those jobs again.", Tone.DIM),),
)
"""The dialog's text before the alarm is acknowledged."""

_NAME = 18
_APART = 4
_FIGURE = 14
_FIGURE_MAX = 24
_ADVICE = 4
_WIDE_COLUMNS = 60
"""From this width on, advice is aligned with the message, otherwise further left."""


def format_verdict_lines(view: QueueView, columns: int) -> list[Line]:
    """The overall result. A connection loss comes first."""
    lines: list[Line] = []
    if view.connection_loss is not None:
        reason = f"✖ connection lost: {connection_loss_text(view.connection_loss)}"
        lines.append((clean_span(reason, Tone.BAD),))
        if view.health is not None:
            lines.append((Span("The results below are from before that.", Tone.DIM),))
    health = view.health
    if health is None:
        if view.connection_loss is None:
            lines.append((Span("○ The queue's health is not known yet.", Tone.DIM),))
    else:
        mark, tone = STATUS_MARKS[health.status]
        head = Span(f"{mark} {health.status.name}: {_WORDS[health.status]}", tone)
        counts = Span(f"  {_status_counts(health)}", Tone.DIM)
        whole = width_of((head, counts)) <= columns - 2
        lines += [(head, counts)] if whole else [(head,), (counts,)]
    return [(Span(" "), *row) for line in lines for row in wrap(line, columns - 2)]


def _status_counts(health: Health) -> str:
    heard = [check.status for check in health.checks if not check.silenced]
    counts = {status: heard.count(status) for status in WORST_FIRST}
    text = {
        Status.CRITICAL: f"{counts[Status.CRITICAL]} critical",
        Status.UNKNOWN: f"{counts[Status.UNKNOWN]} unknown",
        Status.WARNING: pluralize(counts[Status.WARNING], "warning"),
        Status.OK: f"{counts[Status.OK]} OK",
    }
    parts = [text[status] for status, count in counts.items() if count]
    silenced = len(health.checks) - len(heard)
    return ", ".join([*parts, *([f"{silenced} silenced"] if silenced else [])])


def format_check_blocks(health: Health | None, now_ms: int, columns: int) -> list[tuple[str, list[Line]]]:
    """All checks, each with its name and lines: the worst first, silenced ones behind those that count."""
    if health is None:
        return [("", [(Span("no results yet", Tone.DIM),)])]
    figure = max([_FIGURE, *(min(_FIGURE_MAX, len(clean(check.figure))) for check in health.checks)])
    return [
        (check.name, _check(check, now_ms, columns, figure)) for check in sorted(health.checks, key=_order)
    ]


def find_check(health: Health | None, name: str) -> Check | None:
    """The check of this name, if there is a result."""
    checks = health.checks if health is not None else ()
    return next((check for check in checks if check.name == name), None)


def _order(check: Check) -> tuple[int, bool]:
    return WORST_FIRST.index(check.effective_status), not check.silenced


def _check(check: Check, now_ms: int, columns: int, figure_columns: int) -> list[Line]:
    mark, tone = STATUS_MARKS[check.status]
    is_ok, quiet = check.status is Status.OK, check.effective_status is Status.OK
    tone = Tone.DIM if check.silenced else tone
    name = pad((clean_span(check.name, Tone.DIM if quiet else Tone.STRONG),), _NAME)
    figure = pad((clean_span(check.figure, Tone.DIM if quiet else tone),), figure_columns)
    indent = 2 + _NAME + 1 + figure_columns + 1
    message = clean_span(check.message, Tone.DIM if quiet else Tone.TEXT)
    head = (Span(f"{mark} ", tone), *name, Span(" "), *figure, Span(" "))
    lines = hang(head, (message,), columns, least=12)
    indent = indent if columns - indent >= _WIDE_COLUMNS else _ADVICE
    if check.silence is not None:
        shown = Span(format_silence(check, check.silence, now_ms), Tone.WARN)
        lines += hang((Span(" " * indent), Span("‖ ", Tone.WARN)), (shown,), columns, least=12)
    if check.advice and not is_ok:
        head = (Span(" " * indent), Span("→ ", Tone.INFO))
        lines += hang(head, (clean_span(check.advice, Tone.INFO),), columns, least=12)
    return lines


def format_figure_lines(figures: Sequence[PerfdataValue], columns: int) -> list[Line]:
    """The measured figures with their thresholds."""
    if not figures:
        return [(Span("no figures", Tone.DIM),)]
    labels = max(len(figure.label) for figure in figures)
    values = [_amount(figure.value, figure.unit) for figure in figures]
    room = max(map(len, values))
    lines: list[Line] = []
    for figure, value in zip(figures, values, strict=True):
        measured = (
            *pad((clean_span(figure.label.replace("_", " "), Tone.DIM),), labels + 2),
            *pad((clean_span(value, Tone.STRONG),), room, right=True),
        )
        with_alarms = (*measured, Span(" "), *_alarms(figure))
        lines.append(with_alarms if width_of(with_alarms) <= columns else measured)
    side = (columns - _APART) // 2
    if max(map(width_of, lines)) > side:
        return lines
    half = (len(lines) + 1) // 2
    return beside([(lines[:half], side), (lines[half:], side)], gap=_APART)


def _amount(value: float, unit: str) -> str:
    if unit == "B":
        return format_bytes(round(value))
    if unit == "s" and 0 < value < 1:
        value, unit = value * 1000, "ms"
    number = f"{value:,.0f}" if value == round(value) or abs(value) >= 100 else f"{value:.3g}"
    return f"{number} {unit}".rstrip()


def _alarms(figure: PerfdataValue) -> Line:
    """The thresholds, as in the Monitoring Plugins Development Guidelines: "7" means above 7, "1:" below 1."""
    spans: list[Span] = []
    for status, bound in ((Status.WARNING, figure.warning), (Status.CRITICAL, figure.critical)):
        if bound:
            mark, tone = STATUS_MARKS[status]
            sign = "<" if bound.endswith(":") else ">"
            text = f"{sign}{_bound(bound.rstrip(':'), figure.unit)}"
            spans += [Span(f" {mark}", tone), clean_span(text, Tone.DIM)]
    return tuple(spans)


def _bound(text: str, unit: str) -> str:
    """A threshold in the value's format if it is a plain number."""
    try:
        return _amount(float(text), unit)
    except ValueError:
        return text
