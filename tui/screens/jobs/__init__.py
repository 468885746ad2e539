"""The jobs of the queue, page by page."""
