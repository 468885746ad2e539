"""Fetches assets over http and https, from allowed hosts and public addresses.

A host name is resolved once. Every resolved address must be public, and the connection goes to one of them, so a name
that resolves differently the next time gains nothing. TLS verifies the certificate against the name. A redirect is
checked like the first address.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx

from previewops.contract import HttpUri, UriNotAllowed, parse_uri
from previewops.host_patterns import DEFAULT_PORTS, HostPattern, format_hosts, is_in_named_network
from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.worker.assets.ip_policy import rejection_reason
from previewops.worker.assets.name_resolution import (
    AddressPolicy,
    Resolver,
    resolve_host,
    run_in_daemon_thread,
    url_host,
)
from previewops.worker.assets.opener import (
    AssetRef,
    check_size,
    permanent_asset_error,
    storage_errors,
    transient_asset_error,
)

MAX_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT_STATUSES = (408, 425, 429)  # and every 5xx
_HEADERS = {
    "User-Agent": "previewops",
    "Accept": "image/*, audio/*, video/*, application/pdf",
    "Accept-Encoding": "identity",
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class WebFetcher:
    """Fetches assets.

    ``timeout_s`` limits one fetch, redirects included. ``resolve`` returns the addresses of a host.
    ``address_policy`` returns why an address must not be used. Tests replace both.
    """

    hosts: tuple[HostPattern, ...]
    timeout_s: float
    resolve: Resolver = resolve_host
    address_policy: AddressPolicy = rejection_reason
    make_ssl_context: Callable[[], ssl.SSLContext] = field(default=ssl.create_default_context)

    def fetch(self, asset: AssetRef, address: HttpUri, into: BinaryIO, *, max_bytes: int) -> int:
        """Writes the content of ``address`` to ``into``, and returns its length in bytes.

        Raises:
            PermanentJobError: asset-host-refused, asset-address-refused, asset-redirect-refused,
                asset-http-status, asset-too-large, asset-uri-unsupported.
            TransientJobError: asset-http-status (an error of the server), asset-unreachable, asset-fetch-timeout,
                asset-incomplete, disk-full, io-error.
        """
        return _run_in_new_loop(self._fetch_with_timeout(asset, address, into, max_bytes))

    async def _fetch_with_timeout(
        self, asset: AssetRef, address: HttpUri, file: BinaryIO, max_bytes: int
    ) -> int:
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._follow_redirects(asset, address, file, max_bytes)
        except TimeoutError:
            raise transient_asset_error(
                "asset-fetch-timeout",
                asset,
                f"the download did not finish within {self.timeout_s:g} s",
                found=f"not finished after {self.timeout_s:g} s",
                allowed=f"{self.timeout_s:g} s",
                hint="use a smaller file or a faster server, or raise PREVIEW_FETCH_TIMEOUT_S",
            ) from None

    async def _follow_redirects(
        self, asset: AssetRef, address: HttpUri, file: BinaryIO, max_bytes: int
    ) -> int:
        for _ in range(MAX_REDIRECTS + 1):
            result = await self._request_once(asset, address, file, max_bytes)
            if isinstance(result, int):
                return result
            address = _resolve_redirect(asset, address, result)
        raise _redirect_error(asset, f"more than {MAX_REDIRECTS} redirects", f"{MAX_REDIRECTS} redirects")

    async def _request_once(
        self, asset: AssetRef, address: HttpUri, file: BinaryIO, max_bytes: int
    ) -> int | str:
        """The number of bytes written to ``file``, or the location of a redirect."""
        addresses = await self._addresses(asset, address)
        # One unresponsive address must leave time for the others, and for the content.
        connect_s = self.timeout_s / (len(addresses) + 1)
        requests = [_request(asset, address, ip, connect_s) for ip in addresses]
        # The transport alone: a client would follow redirects and keep cookies.
        verify = self.make_ssl_context() if address.scheme == "https" else True
        async with httpx.AsyncHTTPTransport(verify=verify, trust_env=False) as transport:
            try:
                response = await first_response(transport, requests)
                try:
                    if response.status_code in _REDIRECTS:
                        return str(response.headers.get("location", ""))
                    _check_status(asset, response.status_code)
                    return await _store(asset, response, file, max_bytes)
                finally:
                    await response.aclose()
            except (httpx.TransportError, ssl.SSLError) as failure:
                raise _unreachable_error(asset, address, str(failure) or type(failure).__name__) from failure

    async def _addresses(self, asset: AssetRef, address: HttpUri) -> Sequence[str]:
        if not any(host.allows(address.scheme, address.host, address.port) for host in self.hosts):
            raise permanent_asset_error(
                "asset-host-refused",
                asset,
                f"host: found {address.host}:{address.port}, which is not an allowed asset host",
                found=f"{address.host}:{address.port}",
                allowed=format_hosts(self.hosts),
                hint=f"add {address.host} to PREVIEW_ASSET_HOSTS, or submit with --import",
            )
        try:
            ips = await run_in_daemon_thread(lambda: self.resolve(address.host, address.port))
        except (OSError, UnicodeError) as failure:
            raise _unreachable_error(asset, address, f"its name cannot be resolved: {failure}") from failure
        for ip in ips:
            reason = self.address_policy(ip)
            if reason is not None and not is_in_named_network(
                self.hosts, address.scheme, address.host, address.port, ip
            ):
                raise permanent_asset_error(
                    "asset-address-refused",
                    asset,
                    f"{address.host} resolves to {ip}, which is {reason}",
                    found=ip,
                    allowed="public addresses",
                    hint="serve the file from a public address, put it under an asset root, or name the network "
                    "of the host: PREVIEW_ASSET_HOSTS=host=network",
                )
        if not ips:
            raise _unreachable_error(asset, address, "its name does not resolve to an address")
        return ips


def _run_in_new_loop(work: Coroutine[Any, Any, _T]) -> _T:
    """Runs a coroutine in a new thread, since this one may have a running loop, as in a notebook."""
    with ThreadPoolExecutor(1, thread_name_prefix="asset-fetch") as threads:
        return threads.submit(asyncio.run, work).result()


async def first_response(
    transport: httpx.AsyncHTTPTransport, requests: Sequence[httpx.Request]
) -> httpx.Response:
    """Tries the addresses of a server in order until one connects. Raises httpx.TransportError."""
    for request in requests[:-1]:
        with suppress(httpx.ConnectError, httpx.ConnectTimeout):
            return await transport.handle_async_request(request)
    return await transport.handle_async_request(requests[-1])


def _request(asset: AssetRef, address: HttpUri, ip: str, connect_s: float) -> httpx.Request:
    """The request for ``address`` at the server's ``ip``.

    Its host is the one that ``parse_uri`` returned and the checks used: httpx parses some names differently.
    """
    ports = "" if address.port == DEFAULT_PORTS[address.scheme] else f":{address.port}"
    try:
        return httpx.Request(
            "GET",
            urlsplit(address.url)._replace(netloc=url_host(ip) + ports).geturl(),
            headers={**_HEADERS, "Host": url_host(address.host) + ports},
            extensions={"sni_hostname": address.host, "timeout": {"connect": connect_s}},
        )
    except (httpx.InvalidURL, UnicodeError) as failure:
        raise permanent_asset_error(
            "asset-uri-unsupported",
            asset,
            "its uri cannot be sent in a request",
            found=str(failure),
            allowed="ASCII, other characters percent-encoded",
            hint="correct the uri, or copy the file under an asset root and submit with --import",
        ) from failure


async def _store(asset: AssetRef, response: httpx.Response, file: BinaryIO, max_bytes: int) -> int:
    content_length = response.headers.get("content-length", "")
    if content_length.isdecimal():
        check_size(asset, int(content_length), max_bytes)
    size = 0
    async for chunk in _body(response):
        size += len(chunk)
        check_size(asset, size, max_bytes)
        with storage_errors():
            file.write(chunk)
    with storage_errors():
        file.flush()
    return size


def _body(response: httpx.Response) -> AsyncIterable[bytes]:
    """The content as sent, never decompressed, so that no decompression bomb is inflated."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return response.stream


def _resolve_redirect(asset: AssetRef, address: HttpUri, location: str) -> HttpUri:
    try:
        target = parse_uri(urljoin(address.url, location.partition("#")[0]) if location else "")
    except (UriNotAllowed, ValueError):
        target = None
    if not isinstance(target, HttpUri):
        raise _redirect_error(
            asset, "a redirect to another scheme than http and https", "http and https uris"
        )
    if address.scheme == "https" and target.scheme == "http":
        raise _redirect_error(asset, "a redirect from https to http", "redirects that stay on https")
    return target


def _redirect_error(asset: AssetRef, found: str, allowed: str) -> PermanentJobError:
    return permanent_asset_error(
        "asset-redirect-refused",
        asset,
        f"its server returned {found}",
        found=found,
        allowed=allowed,
        hint="use the final address of the file",
    )


def _check_status(asset: AssetRef, status: int) -> None:
    if status == httpx.codes.OK:
        return
    status_line = f"{status} {httpx.codes.get_reason_phrase(status)}".strip()
    make_error = (
        transient_asset_error if status in _TRANSIENT_STATUSES or status >= 500 else permanent_asset_error
    )
    raise make_error(
        "asset-http-status",
        asset,
        f"its server returned {status_line}",
        found=status_line,
        allowed="200 OK",
        hint="make sure that the address is readable without a login",
    )


def _unreachable_error(asset: AssetRef, address: HttpUri, reason: str) -> TransientJobError:
    return transient_asset_error(
        "asset-unreachable",
        asset,
        f"{address.host}:{address.port} cannot be reached: {reason}",
        found=reason,
        allowed="a reachable server",
        hint="check the host's name, its certificate and the network",
    )
