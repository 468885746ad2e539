"""A queue in figures for Prometheus.

Every figure comes out of Redis, where the queue's scripts keep them, so any process can serve them, all that do
say the same, and a restart of any process sets nothing back.
"""

from previewops.metrics.collector import ScrapeResult, collect
from previewops.metrics.exposition import CONTENT_TYPE, render_exposition, scrape

__all__ = ["CONTENT_TYPE", "ScrapeResult", "collect", "render_exposition", "scrape"]
