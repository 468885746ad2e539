"""How fast one client may ask: a token bucket each, in a table that does not grow without bound."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api.auth import PUBLIC_PATHS
from previewops.api.errors import TooManyRequests
from previewops.clock import Clock

BURST_S = 2
"""So many seconds' worth of requests may come at once."""
MAX_CLIENTS = 10_000
_IPV6_NETWORK_BITS = 64


class TokenBuckets:
    """The buckets. ``rate`` is requests a second for each client; times are seconds of one monotonic clock.

    Of more than ``most_clients`` the one that was silent longest is forgotten, and starts over when it comes back.
    """

    def __init__(self, rate: int, *, max_clients: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._burst = rate * BURST_S
        self._most_clients = max_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Takes a request's token; 0 if there was one, else in how many seconds there will be one."""
        tokens, then = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        """How many clients are remembered."""
        return len(self._buckets)


def client_key(address: str) -> str:
    """What counts as one client: an IPv4 address, or the network of an IPv6 one, as a host has all of it."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.ip_network((address.partition("%")[0], _IPV6_NETWORK_BITS), strict=False)
    except ValueError:
        return address
    return str(network)


class RateLimitMiddleware:
    """The layer that turns away those who ask too fast."""

    def __init__(self, app: ASGIApp, rates: TokenBuckets, *, clock: Clock) -> None:
        self._app = app
        self._rates = rates
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        client = client_key(peer[0] if peer else "")
        if scope["path"] in PUBLIC_PATHS:
            client += " probing"  # a busy client is not to make the process look dead
        wait = self._rates.take(client, self._clock.monotonic())
        if wait:
            raise TooManyRequests(
                "this client asks faster than PREVIEW_API_RATE allows", retry_after_s=max(1, math.ceil(wait))
            )
        await self._app(scope, receive, send)
