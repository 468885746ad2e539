"""Limits and defaults in the documents equal the constants that they describe."""

from __future__ import annotations

import re
from importlib import import_module
from operator import attrgetter
from typing import NamedTuple

import pytest

from previewops.queue.scripts import ScriptName, script_text
from tests.docs.documents import ROOT


class Figure(NamedTuple):
    """A figure: its page, the words around it with ``{}`` in its place, the constant, and what one unit is of it."""

    page: str
    words: str
    constant: str
    unit: float = 1


KIB, MIB = 1024, 1024 * 1024
HOUR_S = 3600
FIGURES = (
    Figure("architecture", "with BLPOP for at most {} s", "worker.engine.worker:IDLE_WAIT_S"),
    Figure("architecture", "{} s for a day after such a job", "claim.lua:STOCK_POLL_MS", 1000),
    Figure(
        "architecture", "with pauses of at most {} s", "worker.engine.redis_retry:REDIS_BACKOFF_S.maximum"
    ),
    Figure("architecture", "about the last {}, with a count of all", "record_event.lua:EVENTS_KEPT"),
    Figure("architecture", "bodies of {} KiB and more", "api.job_routes:_THREAD_FROM_BYTES", KIB),
    Figure(
        "guarantees",
        "until it works, at most {} s apart",
        "supervisor.restart_policy:RESTART_BACKOFF_S.maximum",
    ),
    Figure("guarantees", "every {} s on a queue with stock clients", "claim.lua:STOCK_POLL_MS", 1000),
    Figure("guarantees", "The last {} events or so are kept", "record_event.lua:EVENTS_KEPT"),
    Figure("logs", "moves a log of more than {} MiB", "supervisor.process_backend:LOG_BYTES", MIB),
    Figure("logs", "of a line have at most {} characters", "logs.redaction:MAX_LINE"),
    Figure("logs", "characters together, a text {}, a", "logs.redaction:MAX_TEXT"),
    Figure("logs", "a traceback {}. A", "logs.redaction:MAX_TRACEBACK"),
    Figure("recordings", "A line has at most {} MiB", "recording.format:MAX_LINE_BYTES", MIB),
    Figure("recordings", "MiB and a chapter {} MiB", "recording.chapters:MAX_CHAPTER_BYTES", MIB),
    Figure("recordings", "of all chapters take at most {} MiB", "recording.history_index:MAX_BYTES", MIB),
    Figure("recordings", "of a chapter at most {} invalid frames", "recording.reader:MAX_TRIES"),
    Figure("rendering-options", "The title card stays for {} s", "contract.limits:TITLE_CARD_MS", 1000),
    Figure("rendering-options", "fade into each other: for {} ms", "worker.render.encode.video:_FADE_MS"),
    Figure(
        "rendering-options", "drawing it takes more than {} s", "worker.render.decode.pdf_page:MAX_DRAWING_S"
    ),
    Figure(
        "rendering-options", "Frames less than {} pixels wide", "worker.render.layout.type_scale:_MIN_WIDTH"
    ),
    Figure("rendering-options", "| a payload | {} bytes", "contract.limits:MAX_PAYLOAD_BYTES"),
    Figure("rendering-options", "of a `data:` uri | {} bytes", "contract.limits:MAX_INLINE_BYTES"),
    Figure("rest-reference", "| 413 | more than {} MiB", "contract.limits:MAX_PAYLOAD_BYTES", MIB),
    Figure("rest-reference", "| one payload | {} MiB", "contract.limits:MAX_PAYLOAD_BYTES", MIB),
    Figure("rest-reference", "| all bodies in memory | {} MiB", "api.body_reader:MAX_TOTAL_BODY_BYTES", MIB),
    Figure("rest-reference", "trailers of a request | {} KiB", "api.bounded_protocol:MAX_HEAD_BYTES", KIB),
    Figure("rest-reference", "| work of one client | {} KiB", "api.rate_limit:BYTES_PER_TOKEN", KIB),
    Figure("rest-reference", "KiB of a payload, {} lines of a batch", "api.rate_limit:LINES_PER_TOKEN"),
    Figure("rest-reference", "up to {} s in advance", "api.rate_limit:MAX_DEBT_S"),
    Figure("rest-reference", "wait for one of {} permits for Redis", "api.backend:REDIS_PERMITS"),
    Figure("rest-reference", "or of {} for actions on dead letters", "api.backend:LONG_REDIS_PERMITS"),
    Figure("rest-reference", "for actions on dead letters | {} s", "api.backend:PERMIT_TIMEOUT_S"),
    Figure("rest-reference", "| reply time of Redis | {} s", "api.backend:REPLY_TIMEOUT_S"),
    Figure(
        "rest-reference", "s, {} s for an action on dead letters", "api.dead_letter_routes:BULK_TIMEOUT_S"
    ),
    Figure("rest-reference", "{} s for a batch of submits", "api.submit_batcher:REPLY_TIMEOUT_S"),
    Figure("rest-reference", "requests in progress within {} s", "api.server:SHUTDOWN_S"),
    Figure(
        "runbook",
        "again and again, at most {} s apart",
        "supervisor.restart_policy:RESTART_BACKOFF_S.maximum",
    ),
    Figure("runbook", "Workers resume within {} s", "supervisor.restart_policy:RESTART_BACKOFF_S.maximum"),
    Figure("security", "at most {} KiB in", "worker.sandbox.child_output:MAX_OUTPUT_BYTES", KIB),
    Figure("security", "killed after {} MiB of them", "worker.sandbox.children:MAX_JOB_BYTES", MIB),
)


def read_constant(name: str) -> float:
    """Returns a constant of a module below ``previewops`` (or an attribute of one), or of a script."""
    place, _, constant = name.partition(":")
    if place.endswith(".lua"):
        text = script_text(ScriptName(place.removesuffix(".lua")))
        match = re.search(rf"^local {constant} = (\d+)", text, re.MULTILINE)
        assert match is not None, name
        return float(match[1])
    return float(attrgetter(constant)(import_module(f"previewops.{place}")))


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: f"{figure.page}: {figure.words}")
def test_a_figure_in_a_document_is_that_of_the_code(figure: Figure) -> None:
    text = (ROOT / "docs" / f"{figure.page}.md").read_text("utf-8")
    before, after = map(re.escape, figure.words.split("{}"))
    pattern = re.sub(r"\\? +", r"\\s+", rf"{before}(?P<figure>[0-9][0-9,.]*[0-9]|[0-9]){after}")
    found = [match["figure"] for match in re.finditer(pattern, text)]
    assert found, "the document no longer has these words"
    allowed = read_constant(figure.constant) / figure.unit
    assert {float(number.replace(",", "")) for number in found} == {allowed}
