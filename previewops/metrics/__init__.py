"""Metrics of a queue for Prometheus.

All values come from Redis, where the queue's scripts keep them. So any process can serve them, all processes serve
the same values, and a restart resets nothing.
"""

from previewops.metrics.collector import ScrapeResult, collect
from previewops.metrics.exposition import CONTENT_TYPE, render_exposition, scrape

__all__ = ["CONTENT_TYPE", "ScrapeResult", "collect", "render_exposition", "scrape"]
