"""Access checks: Host header, cross-site requests, tokens. Pure, apart from the file of named tokens."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from previewops.api.caller import Caller, Permission
from previewops.api.errors import Forbidden, HostNotAllowed, Unauthorized
from previewops.api.token_files import TokensFile
from previewops.settings import Settings

PUBLIC_PATHS = frozenset({"/livez", "/readyz"})
"""Paths of probes, without a token and under any Host name; their responses contain no data of the queue."""

_ANYBODY = Caller()
_READER = Caller(frozenset({Permission.READ, Permission.MONITOR}), share="the read-only token")
_LINK_HOLDER = Caller(frozenset({Permission.SUBMIT, Permission.READ}), share="signed links")
"""A link permits one path and one purpose, which ``link_access`` has checked."""

_READ_METHODS = frozenset({"GET", "HEAD"})
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_CHALLENGE = (("WWW-Authenticate", 'Bearer realm="previewops"'),)


@dataclass(frozen=True, slots=True)
class AccessPolicy:
    """Who may send requests. ``hosts`` are the accepted Host names, None for all. Tokens are excluded from repr.

    ``named`` are the tokens of PREVIEW_API_TOKENS_FILE.
    """

    token: str | None = field(default=None, repr=False)
    read_token: str | None = field(default=None, repr=False)
    hosts: frozenset[str] | None = None
    named: TokensFile | None = field(default=None, repr=False)

    @classmethod
    def from_settings(
        cls, settings: Settings, *, loopback: bool, named: TokensFile | None = None
    ) -> AccessPolicy:
        """Returns the policy of the settings, and of the ``named`` tokens.

        On a loopback address only names of this machine are accepted. Otherwise a page in a local browser could
        resolve its own name to 127.0.0.1 and send requests like a local program (DNS rebinding).
        """
        allowed_hosts = frozenset(settings.api_hosts)
        return cls(
            settings.api_token,
            settings.api_read_token,
            allowed_hosts if allowed_hosts or loopback else None,
            named,
        )

    def check(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        *,
        has_link: bool = False,
        allows_origin: bool = False,
    ) -> Caller:
        """Checks one request. Returns who sends it; each route checks what that caller may do.

        ``has_link``: a signed link permits it, from a page of any site. ``allows_origin``: it comes from a page of an
        origin that may use the API.

        Raises:
            HostNotAllowed: the Host header is not accepted.
            Forbidden: the request is from another site's page, or its token is read-only.
            Unauthorized: the token is missing or invalid.
        """
        is_public = path in PUBLIC_PATHS
        host = host_name(headers.get("host", ""))
        if not is_public and self.hosts is not None and not (host in self.hosts or is_loopback_host(host)):
            raise HostNotAllowed(
                "the Host header is not an accepted host name",
                hint="add the host name to PREVIEW_API_HOSTS",
            )
        if has_link:
            return _LINK_HOLDER
        if not allows_origin:
            self._check_site(method, headers)
        if (self.token is not None or self.named is not None) and not is_public:
            return self._check_token(method, headers.get("authorization", ""))
        return _ANYBODY

    @staticmethod
    def _check_site(method: str, headers: Mapping[str, str]) -> None:
        navigates = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site") == "cross-site" and not navigates:
            raise Forbidden("cross-site requests are not allowed")
        # Old browsers send no Sec-Fetch-Site, nor do new ones without TLS; with a write they send the page's Origin.
        origin = None if "sec-fetch-site" in headers else headers.get("origin")
        if (
            origin is not None
            and method not in _READ_METHODS
            and not is_same_origin(origin, headers.get("host", ""))
        ):
            raise Forbidden("cross-site requests are not allowed")

    def _check_token(self, method: str, authorization: str) -> Caller:
        scheme, _, presented = authorization.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthorized(
                "a bearer token is required",
                hint="send Authorization: Bearer with a token that the operator gave you",
                headers=_CHALLENGE,
            )
        is_write_token = _equal(presented.strip(), self.token)
        is_read_token = _equal(presented.strip(), self.read_token)
        named = None if self.named is None else self.named.find(presented.strip())
        if is_write_token:
            return _ANYBODY
        if named is not None:
            return named
        if not is_read_token:
            raise Unauthorized("the token is invalid", headers=_CHALLENGE)
        if method not in _READ_METHODS:
            raise Forbidden("this token is read-only", hint="use the token of PREVIEW_API_TOKEN")
        return _READER


def _equal(presented: str, token: str | None) -> bool:
    """Compares in constant time."""
    return (
        hmac.compare_digest(presented.encode("latin-1", "replace"), (token or "").encode())
        and token is not None
    )


def host_name(header: str) -> str:
    """Returns the host of a Host header in lower case, without the port."""
    text = header.strip().lower()
    if text.startswith("["):
        return text.partition("]")[0] + "]"
    return text.rpartition(":")[0] if ":" in text else text


def is_same_origin(origin: str, host: str) -> bool:
    """Whether an Origin header has the host and port of a Host header. The scheme's default port is optional."""
    scheme, separator, named = origin.strip().lower().partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    if not separator or default is None:
        return False  # among them "null": a local file or a sandboxed page
    return named.removesuffix(default) == host.strip().lower().removesuffix(default) != ""


def is_loopback_host(host: str) -> bool:
    """Whether a host is localhost or a loopback address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
