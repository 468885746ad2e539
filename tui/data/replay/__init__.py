"""Data of a recording: any position of it, read-only."""
