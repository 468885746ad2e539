"""Imported by the fork server, first of its preloaded modules, for the effect of importing it.

The worker decides when work ends. A terminal's hang-up or a TERM sent to the whole process group reaches
the fork server too, and its death takes every render process along (they ask the kernel for that), in the
middle of a drain. The fork server needs no such signal: it ends when the worker's end of its pipe closes,
and, because it cannot see that while it is stopped, by SIGKILL from the kernel.
"""

import os
import signal

from previewops.process.parent_death import set_parent_death_signal

for _unwanted in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_unwanted, signal.SIG_IGN)
# A worker that is dead by now has closed its end of the pipe, and the server ends by that.
set_parent_death_signal(os.getppid(), signal.SIGKILL)
