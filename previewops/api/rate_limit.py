"""Rate limit: one token bucket per client, in a table of bounded size."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api.auth import PUBLIC_PATHS
from previewops.api.errors import TooManyRequests
from previewops.clock import Clock

BURST_S = 2
"""Size of a bucket, in seconds of the rate."""
MAX_CLIENTS = 10_000
_IPV6_NETWORK_BITS = 64


class TokenBuckets:
    """Token buckets. ``rate`` is requests per second and client; times are seconds of one monotonic clock.

    Beyond ``max_clients`` the least recently active client is dropped; its next request gets a full bucket.
    """

    def __init__(self, rate: int, *, max_clients: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._burst = rate * BURST_S
        self._most_clients = max_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float) -> float:
        """Takes one token. Returns 0, or the seconds until the next token if the bucket is empty."""
        tokens, then = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - then) * self._rate)
        wait = 0.0 if tokens >= 1 else (1 - tokens) / self._rate
        self._buckets[client] = (tokens if wait else tokens - 1, now)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        """Number of clients in the table."""
        return len(self._buckets)


def client_key(address: str) -> str:
    """Returns the bucket key: an IPv4 address, or the /64 network of an IPv6 address, which one host owns."""
    if ":" not in address:
        return address
    try:
        network = ipaddress.ip_network((address.partition("%")[0], _IPV6_NETWORK_BITS), strict=False)
    except ValueError:
        return address
    return str(network)


class RateLimitMiddleware:
    """Middleware that rejects requests over the rate limit."""

    def __init__(self, app: ASGIApp, rates: TokenBuckets, *, clock: Clock) -> None:
        self._app = app
        self._rates = rates
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        client = client_key(peer[0] if peer else "")
        if scope["path"] in PUBLIC_PATHS:
            client += " probing"  # separate bucket: a busy client must not make health probes fail
        wait = self._rates.take(client, self._clock.monotonic())
        if wait:
            raise TooManyRequests(
                "the client exceeds PREVIEW_API_RATE", retry_after_s=max(1, math.ceil(wait))
            )
        await self._app(scope, receive, send)
