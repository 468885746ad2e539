"""The two bars at the top of every screen and the key bar at the bottom."""

from __future__ import annotations

from collections.abc import Sequence

from previewops.formatting import clean
from previewops.tui.key_action import KeyAction
from previewops.tui.keymap import SCREENS, key_of, namespaced_action
from previewops.tui.state.queue_view import QueueView, ReplayPosition
from previewops.tui.viewmodel.addresses import format_address
from previewops.tui.viewmodel.alarms import alive_workers
from previewops.tui.viewmodel.clock_text import zone_at
from previewops.tui.viewmodel.empty_states import ACTING_COLUMNS, ACTING_ROWS
from previewops.tui.viewmodel.hints import key_hint, screen_key
from previewops.tui.viewmodel.queue_status import STATUS_MARKS, queue_status
from previewops.tui.viewmodel.spans import Line, Span, Tone, clip, justify, width_of

_ROOMY_COLUMNS = 90
"""From this width of the title on, program and address have room beside each other."""
_ADDRESS_COLUMNS = 22

_LIVE_ENVIRONMENTS = ("prod", "production", "live")


def format_title_line(view: QueueView, columns: int) -> Line:
    """The queue's name, its server, environment and status."""
    replay = view.replay
    # The replay position comes first, so that a narrow terminal does not cut it off.
    name = f" REPLAY {_replay_text(replay)} " if replay is not None else " previewops "
    left: list[Span] = []
    if replay is not None or not view.address or columns >= _ROOMY_COLUMNS:
        left.append(Span(name, Tone.BADGE_INFO if replay is None else Tone.BADGE_WARN))
    if view.environment:
        live = view.environment.lower() in _LIVE_ENVIRONMENTS
        name = clean(view.environment).upper()[:20]
        left.append(Span(f" {name} ", Tone.BADGE_BAD if live else Tone.BADGE))
    left.append(Span(f" {clean(view.queue_name)} ", Tone.STRONG))
    if view.address:
        room = _ADDRESS_COLUMNS if columns < _ROOMY_COLUMNS else 2 * _ADDRESS_COLUMNS
        left += [Span("on ", Tone.DIM), *format_address(view.address, room), Span(" ")]
    if view.read_only and replay is None:
        left.append(Span(" READ-ONLY ", Tone.BADGE))
    state = queue_status(view)
    if view.snapshot is not None and view.snapshot.paused and state.mark != "‖":
        left.append(Span(" ‖ PAUSED ", Tone.BADGE_WARN))
    return clip((*left, Span(f"  {state.mark} {state.headline}", state.tone)), columns)


def _replay_text(replay: ReplayPosition) -> str:
    """Playback status and position: "2x 0:12:07 of 1:00:00"."""
    if replay.opened < 1:
        return "…"
    speed = f"{replay.speed:g}x"
    if replay.paused or replay.ended:
        speed = f"{'HELD' if replay.paused else 'END'} {speed}"
    return f"{speed} {_format_position(replay.position_ms)} of {_format_position(replay.duration_ms)}"


def _format_position(ms: int) -> str:
    seconds = ms // 1_000
    return f"{seconds // 3_600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def format_clock_line(view: QueueView) -> Line:
    """Freshness of the view. A stale view looks unlike a live one, a frozen display unlike a paused queue."""
    parts: list[Span] = []
    if view.frozen:
        parts.append(Span(f" ❄ DISPLAY FROZEN · {key_of('freeze')} ", Tone.BADGE_INFO))
    if view.connection_loss is not None:
        tries = f" · try {view.connection_loss.tries}" if view.connection_loss.tries else ""
        parts.append(Span(f" STALE {view.age_s} s{tries} ", Tone.BADGE_BAD))
    if view.snapshot is not None:
        zone = zone_at(view.snapshot.now_ms, local=view.local_time)
        at = zone.iso(view.snapshot.now_ms)
        if view.replay is None:
            parts += [
                Span(f" {at[11:19]}{zone.suffix}", Tone.DIM),
                Span(f" ↻{view.interval_s:g}s ", Tone.FAINT),
            ]
        else:
            word = "" if parts else " recorded"
            parts.append(Span(f"{word} {at[:10]} {at[11:19]}{zone.suffix} ", Tone.DIM))
    return tuple(parts)


def format_tab_line(view: QueueView, current: str, columns: int) -> Line:
    """The screens with their keys, each with its figure if all fit.

    In a narrow terminal the figures of jobs and workers give way before those of dead letters and health, at last the
    names of the first screens, but not that of the current one.
    """
    tabs: list[Line] = []
    for full_titles, figures in ((True, _FIGURES), (False, _FIGURES), (False, _ALARMING), (False, ())):
        tabs = [_tab(view, mode, current, full_titles, mode in figures) for mode, _ in SCREENS]
        if sum(map(width_of, tabs)) <= columns:
            break
    for place, (mode, _) in enumerate(SCREENS):
        if sum(map(width_of, tabs)) > columns and mode != current:
            tabs[place] = (Span(" "), Span(screen_key(mode), Tone.DIM, f"app.show('{mode}')"))
    return clip(tuple(span for tab in tabs for span in tab), columns)


_FIGURES = ("jobs", "dead", "workers", "health")
_ALARMING = ("dead", "health")
"""Screens whose tabs have a figure, and those whose figure is kept longest."""


def _tab(view: QueueView, mode: str, current: str, full_titles: bool, shown: bool) -> Line:
    """One tab, with its figure if that is ``shown``. In a narrow terminal one blank separates two tabs."""
    title = dict(SCREENS)[mode]
    name = title if full_titles else title.split()[0]
    tone, action = Tone.BADGE if mode == current else Tone.DIM, f"app.show('{mode}')"
    figure = _key_figure(view, mode) if shown else []
    if full_titles:
        return (Span(f" {screen_key(mode)} {name} ", tone, action), *figure, Span(" "))
    gap = [Span(" ")] if figure else []
    return (Span(" "), Span(f"{screen_key(mode)} {name}", tone, action), *gap, *figure)


def _key_figure(view: QueueView, mode: str) -> list[Span]:
    snapshot = view.snapshot
    if snapshot is None:
        return []
    if mode == "jobs" and snapshot.pending:
        return [Span(f"{short_count(snapshot.pending)}", Tone.NORMAL)]
    if mode == "dead" and snapshot.dead:
        return [Span(f"{short_count(snapshot.dead)}", Tone.BAD)]
    if mode == "workers":
        alive, known = len(alive_workers(snapshot)), len(snapshot.workers)
        text = f"{alive}/{known}" if known != alive else f"{alive}"
        return [Span(text, Tone.GOOD if alive else Tone.BAD)]
    if mode == "health" and view.health is not None:
        return [Span(*STATUS_MARKS[view.health.status])]
    return []


def format_running_command_line(view: QueueView, columns: int) -> Line:
    """The running command, and the key that cancels it."""
    stop = (Span(" "), *key_hint("cancel_command", "cancels it after this batch "))
    return justify((Span(f" ⟳ {clean(view.running_command)}", Tone.WARN),), stop, columns)


def short_count(number: int) -> str:
    """A count in at most five characters: 950, 12.3k, 1.2M. Counts from 10¹⁵ on have an exponent: 1e15."""
    if number < 10_000:
        return f"{number:,}"
    for factor, unit in ((1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G"), (1_000_000_000_000, "T")):
        value = number / factor
        if value < 99.95:
            return f"{value:.1f}{unit}"
        if value < 999.5:
            return f"{value:.0f}{unit}"
    return f"{number:.0e}".replace("e+", "e")


def format_key_line(key_actions: Sequence[KeyAction], columns: int, *, too_small: bool = False) -> Line:
    """As many keys as fit, those of the screen first. Help is always included.

    ``too_small``: says in which size of terminal keys change the queue.
    """
    labelled = [key_action for key_action in key_actions if key_action.label]
    fixed = [span for key_action in labelled if key_action.action == "help" for span in _key(key_action)]
    if too_small:
        fixed.append(Span(f" read-only below {ACTING_COLUMNS}x{ACTING_ROWS} ", Tone.WARN))
    shown: list[Span] = []
    for key_action in labelled:
        if key_action.action == "help":
            continue
        entry = _key(key_action)
        if width_of((*shown, *entry, *fixed)) > columns:
            break
        shown += entry
    return (*shown, *fixed)


def _key(key_action: KeyAction) -> Line:
    return (
        Span(f" {key_action.key_label} ", Tone.INFO, namespaced_action(key_action)),
        Span(f"{key_action.label} ", Tone.DIM, namespaced_action(key_action)),
    )
