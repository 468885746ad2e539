"""Snapshots of a queue in a file: ``previewops record`` writes it, ``tui --replay`` reads it.

The file, version 1
-------------------
A file is a sequence of Zstandard frames (RFC 8878). Each is a chapter: about a minute, which can be read without the
others. The compressor is flushed after each line, so a file that ends in the middle of a chapter can be read up to
there, and ``zstdcat FILE`` shows the lines. A line is one JSON object in ASCII:

    {"previewops": "recording", "version": 1, "queue": "preview-jobs", "interval_s": 1.0}    first in each chapter
    {"t": 1795500187250, "snapshot": {…}, "health": {…}}    a frame; t is server ms
    {"t": 1795500189251, "gap": "…"}    no frame, and the reason: Redis was unavailable

A snapshot holds the 10 s buckets since before its chapter began, and the events since then. So the last frame of a
chapter has all that happened in it, and a reader that opens a file parses no others. The first frame of a file, and
the first after a long gap, holds the whole hour and day, and is a chapter of its own.

Sizes are limited and every value is checked. An invalid value raises ``RecordingBroken`` with its place.
"""
