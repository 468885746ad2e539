"""Imported by the fork server, first of its preloaded modules, for the effect of importing it.

The worker decides when work ends. A terminal's hang-up or a TERM sent to the whole process group reaches
the fork server too, and its death takes every render process along (they ask the kernel for that), in the
middle of a drain. The fork server needs no such signal: it ends when the worker's end of its pipe closes.
"""

import signal

for _unwanted in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_unwanted, signal.SIG_IGN)
