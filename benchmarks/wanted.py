"""The figures that are wanted, by row of ``benchmarks.suite``."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit of a figure: at most, or ``at_least``."""

    value: float
    at_least: bool = False

    def holds(self, figure: float) -> bool:
        """Whether ``figure`` is within the limit."""
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.value:g}"


_FIRST_AMONG = ("SAQ", "Dramatiq", "Huey", "Celery")
_CONCURRENCIES = (1, 2, 10, 50)

WANTED: dict[str, Bound] = {
    **{f"jobs/s at concurrency {c} ÷ BullMQ": Bound(1.2, at_least=True) for c in _CONCURRENCIES},
    **{
        f"jobs/s at concurrency {c} ÷ {peer}": Bound(1, at_least=True)
        for peer in _FIRST_AMONG
        for c in _CONCURRENCIES
    },
    "submit to start, p50 ÷ BullMQ": Bound(0.7),
    "submit to start, p99 ÷ BullMQ": Bound(0.5),
    **{f"bytes in Redis, {state} job ÷ BullMQ": Bound(1) for state in ("waiting", "completed", "dead")},
    "submit_many of 10,000 ÷ its script": Bound(1.3),
    "REST submits/s ÷ Starlette": Bound(1.5, at_least=True),
    "REST, processor ms a submit": Bound(0.5),
    "start of version, processor s": Bound(0.15),
    "start of health, processor s": Bound(0.4),
    "start of submit, processor s": Bound(0.5),
    "submit to bundle ÷ bare loop, wall": Bound(1.03),
    "outside rendering, processor ms a job": Bound(7),
    "24 MP to 3 previews, webp ÷ libvips, processor": Bound(1),
    "24 MP to 3 previews, jpeg ÷ libvips, processor": Bound(1),
    "6 steps, gif, processor ms": Bound(300),
    "6 steps, mp4, processor ms": Bound(250),
    "6 steps, webm, processor ms": Bound(350),
    **{
        f"6 steps, {kind} ÷ libraries alone, processor": Bound(1.15)
        for kind in ("webp", "gif", "mp4", "webm")
    },
    "peak of 60 steps 1920x1080 webm, MiB": Bound(250),
    "same job again, ms": Bound(5),
    "snapshot at 1,000,000 waiting and 100,000 dead, ms": Bound(1),
}
