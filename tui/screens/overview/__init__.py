"""The overview: status, charts and latest events."""
