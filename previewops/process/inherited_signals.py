"""Signal handlers that respect what the process inherited."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable


def add_hangup_handler(
    loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: object
) -> None:
    """Calls ``callback`` on SIGHUP, unless this process inherited an ignored SIGHUP: nohup(1) asks for that."""
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        loop.add_signal_handler(signal.SIGHUP, callback, *args)
