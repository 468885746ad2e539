"""Version, clock, confinement and store of a host, as its workers report them."""

from __future__ import annotations

from previewops.formatting import clean, pluralize
from previewops.snapshot.hosts import Fleet, HostReport
from previewops.snapshot.model import SHORT_ID_CHARS
from previewops.tui.viewmodel.durations import elapsed
from previewops.tui.viewmodel.spans import Line, Span, Tone, clean_span

CLOCK_WARNING_MS = 5_000
"""Difference of clocks that is marked; the threshold of the health check is a setting."""


def host_warnings(report: HostReport, fleet: Fleet, now_ms: int) -> list[Span]:
    """What is wrong on a host, or differs from the others, in a few words each."""
    spans = []
    if report.store is not None and report.store.problem:
        spans.append(Span(f"  store fails {elapsed(report.store.since_ms, now_ms)}", Tone.BAD))
    if len(fleet.store_ids) > 1 and report.store_ids:
        spans.append(Span(f"  store {_name_stores(report)}", Tone.BAD))
    if _is_skewed(report):
        spans.append(Span(f"  {_clock_text(report)}", Tone.WARN))
    missing = fleet.missing_layers(report)
    if missing:
        spans.append(clean_span(f"  no {', '.join(missing)}", Tone.WARN))
    return spans


def host_facts(report: HostReport, fleet: Fleet) -> list[str]:
    """What is as it should be on a host, in a few words each."""
    facts = []
    if report.store is not None and not report.store.problem and len(fleet.store_ids) < 2:
        facts.append("store works")
    if not _is_skewed(report):
        facts.append(_clock_text(report))
    if report.layers and not fleet.missing_layers(report):
        facts.append(pluralize(len(report.layers), "layer"))
    facts.append(clean(", ".join(report.versions)))
    return [fact for fact in facts if fact]


def report_lines(report: HostReport, now_ms: int) -> list[Line]:
    """The same in full, for the details of a host or worker."""
    lines: list[Line] = []
    store = report.store
    if store is not None:
        lasting = elapsed(store.since_ms, now_ms)
        where = f"{store.location} ({_name_stores(report)})"
        if store.problem:
            lines.append((Span(f"✖ Cannot publish for {lasting}: ", Tone.BAD), clean_span(store.problem)))
            lines.append((clean_span(f"store {where}", Tone.DIM),))
        else:
            lines.append((Span("store works: ", Tone.TEXT), clean_span(where, Tone.DIM)))
    clock = _clock_text(report)
    if clock:
        lines.append((Span(clock, Tone.WARN if _is_skewed(report) else Tone.DIM),))
    if report.confined_by:
        lines.append((clean_span(f"confined by {', '.join(report.confined_by)}", Tone.DIM),))
    lines += [(clean_span(f"without {line}", Tone.WARN),) for line in report.confinement_missing]
    return lines


def _is_skewed(report: HostReport) -> bool:
    return abs(report.clock_ahead_ms or 0) >= CLOCK_WARNING_MS


def _clock_text(report: HostReport) -> str:
    """In whole seconds, so that an idle page does not change."""
    if report.clock_ahead_ms is None:
        return ""
    seconds = round(report.clock_ahead_ms / 1000)
    return f"clock {seconds:+d} s" if seconds else "clock ±0 s"


def _name_stores(report: HostReport) -> str:
    ids = ", ".join(store_id[:SHORT_ID_CHARS] for store_id in sorted(report.store_ids))
    return clean(ids) or "unknown id"
