"""One delivery: a signed POST to an allowed receiver, at an address that is permitted. Follows no redirect."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from urllib.parse import urlsplit

from standardwebhooks import Webhook

from previewops.contract import HttpUri
from previewops.contract.url import InvalidUrl, parse_url
from previewops.host_patterns import DEFAULT_PORTS, HostPattern, format_hosts, is_in_named_network
from previewops.worker.assets.ip_policy import rejection_reason
from previewops.worker.assets.name_resolution import (
    AddressPolicy,
    Resolver,
    resolve_host,
    run_in_daemon_thread,
    url_host,
)
from previewops.worker.webhooks.http_connection import Endpoint
from previewops.worker.webhooks.receivers import Receivers

TIMEOUT_S = 15.0
_SUCCESS = range(200, 300)
_GONE = 410
_SENDABLE = re.compile(r"[!-~]+")


class DeliveryFailed(Exception):
    """The receiver did not accept the message; it may later."""


class DeliveryRejected(Exception):
    """The message cannot be delivered: its receiver is not allowed, or declared that it is gone."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers messages. ``url`` is the receiver of all jobs, which the operator chose and which may be anywhere.

    A receiver that a job names must be one of ``hosts``, at a public address. ``resolve`` and ``address_policy`` are
    as in ``WebFetcher``. Connections are kept for some seconds, or until ``close``: for messages to the same scheme,
    host and port, and while the name still resolves to the connection's address.
    """

    secret: str = field(repr=False)
    url: str | None = field(default=None, repr=False)
    hosts: tuple[HostPattern, ...] = ()
    resolve: Resolver = resolve_host
    address_policy: AddressPolicy = rejection_reason
    make_ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    _contexts: list[ssl.SSLContext] = field(default_factory=list, repr=False)
    _of_jobs: Receivers = field(default_factory=Receivers, repr=False)
    """Receivers that jobs name; their addresses are checked."""
    _of_operator: Receivers = field(default_factory=Receivers, repr=False)

    def close(self) -> None:
        """Closes the kept connections."""
        self._of_jobs.close()
        self._of_operator.close()

    async def post(self, message_id: str, url: str, body: str) -> None:
        """Sends ``body`` to ``url``, or to the receiver of all jobs if that is "".

        Raises:
            DeliveryFailed: it was not accepted; a retry may help.
            DeliveryRejected: a retry cannot help.
        """
        address = _parse(url or self.url or "")
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status = await self._post(address, message_id, body, is_operators=not url)
        except TimeoutError:
            raise DeliveryFailed(f"{address.host} did not respond within {TIMEOUT_S:g} s") from None
        if status == _GONE:
            raise DeliveryRejected(f"{address.host} responded with 410 Gone")
        if status not in _SUCCESS:
            raise DeliveryFailed(f"{address.host} responded with status {status}, allowed 200 to 299")

    async def _post(self, address: HttpUri, message_id: str, body: str, *, is_operators: bool) -> int:
        if not is_operators:
            self._check_host(address)
        receivers = self._of_operator if is_operators else self._of_jobs
        try:
            return await receivers.post(
                (address.scheme, address.host, address.port),
                partial(self._endpoints, address, is_operators=is_operators),
                self._request(address, message_id, body),
                TIMEOUT_S,
            )
        except OSError as failure:
            reason = str(failure) or type(failure).__name__
            raise DeliveryFailed(f"{address.host} cannot be reached: {reason}") from None

    def _request(self, address: HttpUri, message_id: str, body: str) -> bytes:
        parts, now = urlsplit(address.url), datetime.now(UTC)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        port = "" if address.port == DEFAULT_PORTS[address.scheme] else f":{address.port}"
        host = url_host(address.host) + port
        for text in (target, host):
            if not _SENDABLE.fullmatch(text):
                raise DeliveryRejected(
                    f"the receiver's address cannot be sent in a request: found {text!r}, "
                    "allowed ASCII, other characters percent-encoded"
                )
        content = body.encode()
        head = (
            f"POST {target} HTTP/1.1\r\n"
            f"Host: {host}\r\n"
            "User-Agent: previewops\r\n"
            "Accept: */*\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n"
            f"webhook-id: {message_id}\r\n"
            f"webhook-timestamp: {int(now.timestamp())}\r\n"
            f"webhook-signature: {Webhook(self.secret).sign(message_id, now, body)}\r\n\r\n"
        )
        return head.encode("ascii") + content

    def _check_host(self, address: HttpUri) -> None:
        if not any(host.allows(address.scheme, address.host, address.port) for host in self.hosts):
            hosts = format_hosts(self.hosts, "PREVIEW_WEBHOOK_HOSTS")
            raise DeliveryRejected(f"receiver: found {address.host}:{address.port}, allowed {hosts}")

    async def _endpoints(self, address: HttpUri, *, is_operators: bool) -> Sequence[Endpoint]:
        """Resolves and checks a receiver's name, and makes the TLS context."""
        try:
            ips = await run_in_daemon_thread(lambda: self.resolve(address.host, address.port))
        except (OSError, UnicodeError) as failure:
            raise DeliveryFailed(f"{address.host} cannot be resolved: {failure}") from None
        if not ips:
            raise DeliveryFailed(f"{address.host} does not resolve to an address")
        for ip in () if is_operators else ips:
            reason = self.address_policy(ip)
            if reason is not None and not is_in_named_network(
                self.hosts, address.scheme, address.host, address.port, ip
            ):
                raise DeliveryRejected(
                    f"{address.host} resolves to {ip}, which is {reason}, allowed public addresses"
                )
        tls = None
        if address.scheme == "https":
            # A context takes a tenth of a second; plain http needs none.
            tls = (await asyncio.to_thread(self._ssl_context), address.host)
        return [Endpoint(ip, address.port, tls) for ip in ips]

    def _ssl_context(self) -> ssl.SSLContext:
        if not self._contexts:
            self._contexts.append(self.make_ssl_context())
        return self._contexts[0]


def _parse(url: str) -> HttpUri:
    try:
        if url.startswith(("https://", "http://")):
            return parse_url(url)
        problem = "it starts with neither https:// nor http://"
    except InvalidUrl as error:
        problem = f"it {error.message}"
    raise DeliveryRejected(f"the receiver's address is invalid: {problem}")
