"""The dialog that asks for a time of a recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from previewops.recording.reader import Interval
from previewops.tui.screens.dialogs.prompt import PromptDialog
from previewops.tui.viewmodel.clock_text import wall_clock
from previewops.tui.viewmodel.replay_times import EXAMPLES, NotATime, format_range, parse_replay_time
from previewops.tui.viewmodel.spans import Line, Span, Tone

if TYPE_CHECKING:
    from previewops.tui.app import OperatorApp


async def ask_for_time(
    app: OperatorApp, recorded: Sequence[Interval], now_ms: Callable[[], int]
) -> int | None:
    """The server's time (ms) that the operator wants to see; None if the operator cancels."""
    local = app.view.local_time

    def parse(text: str) -> int:
        return parse_replay_time(text, now_ms=now_ms(), recorded=recorded, local=local)

    def check(text: str) -> str:
        try:
            parse(text)
        except NotATime as error:
            return str(error)
        return ""

    lines: list[Line] = [
        (Span("Recorded: ", Tone.DIM), Span(format_range(recorded, local=local))),
        (Span("Now:      ", Tone.DIM), Span(wall_clock(now_ms(), local=local)[:19].replace("T", " "))),
    ]
    text: str | None = await app.show_dialog(
        PromptDialog("Go to a time", lines, "go", hint=EXAMPLES, check=check)
    )
    return None if text is None else parse(text)
