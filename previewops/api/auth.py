"""Who may ask: the name that is called, pages of other sites, and tokens. Pure, but for the layer at the end."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from previewops.api.errors import Forbidden, HostNotAllowed, Unauthorized
from previewops.settings import Settings

PUBLIC_PATHS = frozenset({"/livez", "/readyz"})
"""What needs no token: it tells nothing of the queue but that it is there."""

_LOOKING = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ASK_FOR_TOKEN = (("WWW-Authenticate", 'Bearer realm="previewops"'),)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who is let in. ``hosts`` are the names that may be called, None for any; tokens are not shown."""

    token: str | None = field(default=None, repr=False)
    read_token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] | None = None

    @classmethod
    def from_settings(cls, settings: Settings, *, loopback: bool) -> AccessPolicy:
        """The access that the settings grant.

        On a loopback address only names of this machine are served: a page in a browser on it may have made its
        own name resolve to 127.0.0.1, and would be let in like a program (DNS rebinding).
        """
        named = frozenset(settings.api_hosts)
        return cls(settings.api_token, settings.api_read_token, named if named or loopback else None)

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Lets a request in or not.

        Raises:
            Misdirected: it calls a name that is not served.
            Forbidden: a page of another site sends it, or its token may only look.
            Unauthorized: it has no token, or a wrong one.
        """
        host = host_name(headers.get("host", ""))
        if self.hosts is not None and not (host in self.hosts or is_loopback_host(host)):
            raise HostNotAllowed(
                "the Host header names a host that is not served here",
                hint="name it in PREVIEW_API_HOSTS if it is this one",
            )
        self._check_site(method, headers)
        if self.token is not None and path not in PUBLIC_PATHS:
            self._check_token(method, headers.get("authorization", ""))

    @staticmethod
    def _check_site(method: str, headers: Mapping[str, str]) -> None:
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") == "cross-site" and not navigates:
            raise Forbidden("pages of other sites are not served")
        # Old browsers do not say it, nor do new ones where there is no TLS; with an act they name the page's origin.
        origin = None if "sec-fetch-site" in headers else headers.get("origin")
        if (
            origin is not None
            and method not in _LOOKING
            and not is_same_origin(origin, headers.get("host", ""))
        ):
            raise Forbidden("pages of other sites are not served")

    def _check_token(self, method: str, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(
                "a bearer token is needed",
                hint="send Authorization: Bearer and the token of PREVIEW_API_TOKEN",
                headers=_ASK_FOR_TOKEN,
            )
        acts, looks = _same(given.strip(), self.token), _same(given.strip(), self.read_token)
        if not acts and not looks:
            raise Unauthorized("the token is not valid", headers=_ASK_FOR_TOKEN)
        if not acts and method not in _LOOKING:
            raise Forbidden("this token may look and not act", hint="use the token of PREVIEW_API_TOKEN")


def _same(given: str, token: str | None) -> bool:
    """Takes as long whatever the two have in common."""
    return (
        hmac.compare_digest(given.encode("latin-1", "replace"), (token or "").encode()) and token is not None
    )


def host_name(header: str) -> str:
    """The name or address of a Host header, without the port, in lower case."""
    text = header.strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.rpartition(":")[0] if ":" in text else text


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header names the host and port of a Host header. The scheme's own port may be left out."""
    scheme, separator, named = origin.strip().lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    if not separator or default is None:
        return False  # "null" among them: of a file, or a page that was walled off
    return named.removesuffix(default) == host.strip().lower().removesuffix(default) != ""


def is_loopback_host(host: str) -> bool:
    """Whether a host name is localhost, or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class AuthMiddleware:
    """The layer that lets requests in."""

    def __init__(self, app: ASGIApp, access: AccessPolicy) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._access.check(scope["method"], scope["path"], Headers(scope=scope))
        await self._app(scope, receive, send)
