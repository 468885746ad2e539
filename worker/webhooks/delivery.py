"""One delivery: a signed POST to an allowed receiver, at an address that is permitted. Follows no redirect."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
from standardwebhooks import Webhook

from previewops.contract import HttpUri
from previewops.contract.url import InvalidUrl, parse_url
from previewops.host_patterns import DEFAULT_PORTS, HostPattern, format_hosts, is_in_named_network
from previewops.worker.assets.fetch import (
    AddressPolicy,
    Resolver,
    first_response,
    resolve_host,
    run_in_daemon_thread,
    url_host,
)
from previewops.worker.assets.ip_policy import rejection_reason

TIMEOUT_S = 15.0
_SUCCESS = range(200, 300)
_GONE = 410


class DeliveryFailed(Exception):
    """The receiver did not accept the message; it may later."""


class DeliveryRejected(Exception):
    """The message cannot be delivered: its receiver is not allowed, or declared that it is gone."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Delivers messages. ``url`` is the receiver of all jobs, which the operator chose and which may be anywhere.

    A receiver that a job names must be one of ``hosts``, at a public address. ``resolve`` and ``address_policy`` are
    as in ``WebFetcher``.
    """

    secret: str = field(repr=False)
    url: str | None = field(default=None, repr=False)
    hosts: tuple[HostPattern, ...] = ()
    resolve: Resolver = resolve_host
    address_policy: AddressPolicy = rejection_reason
    make_ssl_context: Callable[[], ssl.SSLContext] = ssl.create_default_context
    _contexts: list[ssl.SSLContext] = field(default_factory=list, repr=False)

    def _ssl_context(self) -> ssl.SSLContext:
        if not self._contexts:
            self._contexts.append(self.make_ssl_context())
        return self._contexts[0]

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
        ips = await self._addresses(address, is_operators=is_operators)
        content, now = body.encode(), datetime.now(UTC)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "previewops",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Webhook(self.secret).sign(message_id, now, body),
        }
        requests = [_request(address, ip, content, headers, TIMEOUT_S / (len(ips) + 1)) for ip in ips]
        # A context takes a tenth of a second; plain http needs none.
        verify = await asyncio.to_thread(self._ssl_context) if address.scheme == "https" else False
        async with httpx.AsyncHTTPTransport(verify=verify, trust_env=False) as transport:
            try:
                response = await first_response(transport, requests)
                await response.aclose()  # the body is not read
                return response.status_code
            except (httpx.TransportError, ssl.SSLError, OSError) as failure:
                raise DeliveryFailed(
                    f"{address.host} cannot be reached: {str(failure) or type(failure).__name__}"
                ) from None

    async def _addresses(self, address: HttpUri, *, is_operators: bool) -> Sequence[str]:
        allowed = any(host.allows(address.scheme, address.host, address.port) for host in self.hosts)
        if not is_operators and not allowed:
            hosts = format_hosts(self.hosts, "PREVIEW_WEBHOOK_HOSTS")
            raise DeliveryRejected(f"receiver: found {address.host}:{address.port}, allowed {hosts}")
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
        return ips


def _parse(url: str) -> HttpUri:
    try:
        if url.startswith(("https://", "http://")):
            return parse_url(url)
        problem = "it starts with neither https:// nor http://"
    except InvalidUrl as error:
        problem = f"it {error.message}"
    raise DeliveryRejected(f"the receiver's address is invalid: {problem}")


def _request(
    address: HttpUri, ip: str, content: bytes, headers: dict[str, str], connect_s: float
) -> httpx.Request:
    ports = "" if address.port == DEFAULT_PORTS[address.scheme] else f":{address.port}"
    try:
        return httpx.Request(
            "POST",
            urlsplit(address.url)._replace(netloc=url_host(ip) + ports).geturl(),
            content=content,
            headers={**headers, "Host": url_host(address.host) + ports},
            extensions={"sni_hostname": address.host, "timeout": {"connect": connect_s}},
        )
    except (httpx.InvalidURL, UnicodeError) as failure:
        raise DeliveryRejected(f"the receiver's address cannot be sent in a request: {failure}") from None
