"""A queue in figures for Prometheus.

Every figure comes out of Redis, where the queue's scripts keep them, so any process can serve them, all that do
say the same, and a restart of any process sets nothing back.
"""

from previewops.metrics.reading import Reading, take_reading
from previewops.metrics.text import CONTENT_TYPE, expose, exposition

__all__ = ["CONTENT_TYPE", "Reading", "expose", "exposition", "take_reading"]
