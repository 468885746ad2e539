"""Snapshots of a queue in a file, for the morning after: ``previewops record`` writes it, ``tui --replay`` reads it.

The file, version 1
-------------------
A file is a sequence of gzip members (RFC 1952). Each is a chapter: about a minute, which can be read by itself.
The compressor is flushed after each line, so a file that ends in the midst of a member can be read up to there,
and ``zcat FILE`` shows the lines. A line is one JSON object in ASCII:

    {"previewops": "recording", "version": 1, "queue": "preview-jobs", "every": 1.0}    first in each chapter
    {"t": 1795500187250, "f": {…}}    a look at the queue, whole: ``plain.py`` has the keys; t is server ms
    {"t": 1795500188251, "d": {…}}    another one: what differs from the last whole one, as ``patch.py`` has it
    {"t": 1795500189251, "g": "…"}    no look, and why: the server was away

A look holds the 10 s buckets since before its chapter began, and the events since then. So the last look of a
chapter tells all that happened in it, and who opens a file need not read the others. The first look of a file, and
one after a time without any, holds the whole hour and day, and is a chapter of its own.

Nothing in a file is executed or believed: sizes are bounded, every value is checked, and what does not fit is a
``RecordingBroken`` that says where and what.
"""
