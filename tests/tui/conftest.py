"""What makes the apps of all tests cheap, and the same on a busy machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from textual._compositor import Compositor
from textual._context import visible_screen_stack
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet

from previewops.tui.terminal import key_queue


@pytest.fixture(scope="session", autouse=True)
def shared_style_sheets() -> Iterator[None]:
    """Parses each style sheet once a run. Parsing takes a sixth of the time that an app needs to start."""
    parse = Stylesheet._parse_rules
    parsed: dict[tuple[object, ...], list[RuleSet]] = {}

    def parse_once(sheet: Stylesheet, *args: object, **options: object) -> list[RuleSet]:
        key = (args, *sorted(options.items()), frozenset(sheet._variables.items()))
        if key not in parsed:
            parsed[key] = parse(sheet, *args, **options)  # type: ignore[arg-type]
        return parsed[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parse_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def unseen_frames() -> Iterator[None]:
    """Renders no frame that a headless app would throw away, which takes a third of a test's time.

    A test that reads the screen or a widget renders it at that moment, from the same widgets.
    """
    render_update = Compositor.render_update

    def render_if_seen(compositor: Compositor, full: bool = False, **options: Any) -> Any:
        if full:  # a screenshot
            return render_update(compositor, full, **options)
        visible_screen_stack.set(options.get("screen_stack") or [])
        compositor._dirty_regions.clear()
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Compositor, "render_update", render_if_seen)
        yield


@pytest.fixture(scope="session", autouse=True)
def patient_keys() -> Iterator[None]:
    """Waits for the effects of each key. A busy machine takes longer than a terminal's user would wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(key_queue, "KEY_TIMEOUT_S", 30.0)
        yield
