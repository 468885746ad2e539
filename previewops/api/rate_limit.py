"""Rate limit: a token bucket per client address and per named token. Large requests cost more than one token."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api.auth import PUBLIC_PATHS
from previewops.api.caller import Caller
from previewops.api.client_address import client_key
from previewops.api.errors import TooManyRequests
from previewops.clock import Clock

BURST_S = 2
"""Size of a bucket, in seconds of the rate."""
MAX_DEBT_S = 60
"""Maximum debt of a bucket, in seconds of the rate: no client waits longer."""
MAX_CLIENTS = 10_000

BYTES_PER_TOKEN = 8_192
UPLOADED_BYTES_PER_TOKEN = 1_048_576
LINES_PER_TOKEN = 10
VIOLATIONS_PER_TOKEN = 10
"""Work that costs as much as one small request."""

_BILL = "previewops.bill"


class TokenBuckets:
    """Token buckets. ``rate`` is tokens per second and client; times are seconds of one monotonic clock.

    Beyond ``max_clients`` the least recently active client is dropped; its next request gets a full bucket.
    """

    def __init__(self, rate: int, *, max_clients: int = MAX_CLIENTS) -> None:
        self._rate = rate
        self._burst = rate * BURST_S
        self._most_clients = max_clients
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, client: str, now: float, *, cost: float = 1.0, least: float = 1.0) -> float:
        """Takes ``cost`` tokens from a bucket with ``least`` tokens or more, which may leave a debt.

        Returns 0, or the seconds until the bucket has ``least`` tokens.
        """
        tokens, then = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - then) * self._rate)
        wait = max(0.0, (least - tokens) / self._rate)
        left = tokens if wait else max(tokens - cost, -float(self._rate * MAX_DEBT_S))
        self._buckets[client] = (left, now)
        if len(self._buckets) > self._most_clients:
            self._buckets.popitem(last=False)
        return wait

    def __len__(self) -> int:
        """Number of clients in the table."""
        return len(self._buckets)


@dataclass(frozen=True, slots=True)
class _Account:
    """A bucket of one client. ``limit`` is what a request exceeds, for messages."""

    buckets: TokenBuckets
    client: str
    limit: str

    def take(self, now: float, *, cost: float = 1.0, least: float = 1.0) -> None:
        _raise_wait(self.limit, self.buckets.take(self.client, now, cost=cost, least=least))


class Bill:
    """What one request costs its accounts: that of the client's address, and that of its token."""

    def __init__(self, clock: Clock) -> None:
        self._accounts: list[_Account] = []
        self._clock = clock

    def open(self, account: _Account) -> None:
        """Charges another account too, at once with the one token of every request.

        Raises:
            TooManyRequests: the account has no token.
        """
        account.take(self._clock.monotonic())
        self._accounts.append(account)

    def charge(self, *, size_bytes: int, lines: int = 0) -> None:
        """Charges the work that a body asks for, before it is done.

        Raises:
            TooManyRequests: the client has not paid for earlier work.
        """
        beyond = max(0, size_bytes - BYTES_PER_TOKEN)
        self._take(beyond / BYTES_PER_TOKEN + lines / LINES_PER_TOKEN, least=0.0)

    def charge_upload(self, size_bytes: int) -> None:
        """Charges an upload, before its body is read.

        Raises:
            TooManyRequests: the client has not paid for earlier work.
        """
        self._take(size_bytes / UPLOADED_BYTES_PER_TOKEN, least=0.0)

    def charge_violations(self, count: int) -> None:
        """Charges the violations that were found and sent."""
        self._take(count / VIOLATIONS_PER_TOKEN, least=-math.inf)

    def _take(self, cost: float, least: float) -> None:
        for account in self._accounts:
            account.take(self._clock.monotonic(), cost=cost, least=least)


def bill_of(request: Request) -> Bill:
    """Returns the bill of a request."""
    bill: Bill = request.scope[_BILL]
    return bill


class RateLimitMiddleware:
    """Middleware that rejects requests over the rate limit of an address. ``rate`` is 0 for none."""

    def __init__(self, app: ASGIApp, rate: int, *, clock: Clock) -> None:
        self._app = app
        self._rates = TokenBuckets(rate) if rate else None
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope[_BILL] = bill = Bill(self._clock)
        # A busy client must not make health probes fail: behind address translation it may have their address.
        if self._rates is not None and scope["path"] not in PUBLIC_PATHS:
            peer = scope.get("client")
            client = client_key(peer[0] if peer else "")
            bill.open(_Account(self._rates, client, "the client exceeds PREVIEW_API_RATE"))
        await self._app(scope, receive, send)


class CallerRates:
    """Rates of named tokens. A rate that changed begins with a full bucket."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[int, TokenBuckets]] = {}

    def charge(self, scope: Scope, caller: Caller) -> None:
        """Charges a request to its token too, if that has a rate.

        Raises:
            TooManyRequests: the token exceeds its rate.
        """
        if caller.name is None or not caller.rate:
            return
        rate, buckets = self._buckets.get(caller.name, (0, None))
        if buckets is None or rate != caller.rate:
            buckets = TokenBuckets(caller.rate)
            self._buckets[caller.name] = (caller.rate, buckets)
        limit = f"{caller.share} exceeds its rate of {caller.rate} requests/s in PREVIEW_API_TOKENS_FILE"
        bill: Bill = scope[_BILL]
        bill.open(_Account(buckets, caller.name, limit))


def _raise_wait(limit: str, wait_s: float) -> None:
    if wait_s:
        raise TooManyRequests(limit, retry_after_s=max(1, math.ceil(wait_s)))
