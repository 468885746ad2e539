"""Checks the summary that a render process returns. Pure.

A process that was taken over may return anything; the summary is stored, and read by clients, commands and screens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from previewops.worker.publish.output import MAX_FILES
from previewops.worker.sandbox.framing import ProtocolError

_MAX_NUMBER = 1 << 53
_MAX_TEXT = 2_000

Check = Callable[[Any], bool]


def check_summary(summary: Mapping[str, Any], *, dry_run: bool) -> None:
    """Checks names and types of a summary of ``bundle_builder``.

    Raises:
        ProtocolError: with the first field that is missing, unknown or malformed.
    """
    checks = _PLAN if dry_run else _BUNDLE
    for name in sorted(checks.keys() ^ summary.keys()):
        raise ProtocolError(f"result: found {'no' if name in checks else 'an unknown'} field {name[:40]!a}")
    for name, is_valid in checks.items():
        if not is_valid(summary[name]) or (name == "dryRun" and summary[name] is not dry_run):
            raise ProtocolError(f"result: found a malformed field {name!r}")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_NUMBER


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MAX_TEXT


def _is_artifact(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"path", "bytes", "sha256", "mediaType"}
        and _is_count(value["bytes"])
        and all(_is_text(value[name]) for name in ("path", "sha256", "mediaType"))
    )


def _is_list_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and len(value) <= MAX_FILES and all(map(check, value))


_PLAN: dict[str, Check] = {
    "dryRun": lambda value: isinstance(value, bool),
    "plan": lambda value: isinstance(value, dict),
}
_BUNDLE: dict[str, Check] = {
    "dryRun": lambda value: isinstance(value, bool),
    "artifacts": _is_list_of(_is_artifact),
    "durationMs": _is_count,
    "width": _is_count,
    "height": _is_count,
    "renderMs": _is_count,
    "warnings": _is_list_of(_is_text),
}
