"""Signed links: an address that permits one thing until it expires, without a token. Pure.

The signature is an HMAC-SHA256 over purpose, path and expiry. ``<img>``, ``<video>`` and EventSource cannot send a
token; such a link can be given to a browser instead.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from urllib.parse import quote, urlencode

EXPIRES = "expires"
SIGNATURE = "signature"
DIGEST = "sha256"
"""Parameters of a link: expiry in s since the epoch, signature, and the SHA-256 of the content that it names."""

MAX_EXPIRES_DIGITS = 12

_WINDOWS = 4
"""Links are rounded up to a fraction of their lifetime, so that a browser gets the same address for a while."""
_MIN_WINDOW_S = 15


class LinkPurpose(StrEnum):
    """What a link permits."""

    READ = "read"  # GET and HEAD of this path
    UPLOAD = "upload"  # uploads at this path and below


class LinkExpired(Exception):
    """The link was valid until some time ago."""


class LinkInvalid(Exception):
    """The signature is not one of these keys for this path."""


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Signs with the first of ``keys`` and accepts all of them, so that a key can be replaced. Keys are secret.

    ``base_url`` is put before the path, "" for links relative to the host of the API.
    """

    keys: tuple[str, ...] = field(repr=False)
    base_url: str = ""

    def link(self, purpose: LinkPurpose, path: str, expires_s: int, *, digest: str | None = None) -> str:
        """Returns an address of ``path`` (not escaped) that is valid until ``expires_s``."""
        fields = {EXPIRES: str(expires_s), SIGNATURE: _sign(self.keys[0], purpose, path, expires_s)}
        if digest is not None:
            fields[DIGEST] = digest
        return f"{self.base_url}{quote(path)}?{urlencode(fields)}"

    def check(self, purpose: LinkPurpose, path: str, query: Mapping[str, str], now_s: float) -> int:
        """Checks the parameters of a request and returns the expiry, in s since the epoch.

        Raises:
            LinkInvalid: the signature is missing, or is not one for this purpose, path and expiry.
            LinkExpired: it is valid, but the time is over.
        """
        expires, given = query.get(EXPIRES, ""), query.get(SIGNATURE, "")
        if not (expires.isascii() and expires.isdigit() and len(expires) <= MAX_EXPIRES_DIGITS):
            raise LinkInvalid
        signed = [_sign(key, purpose, path, int(expires)) for key in self.keys]
        # All of them: the time must not depend on which key it was.
        if not sum([hmac.compare_digest(given.encode("utf-8", "replace"), text.encode()) for text in signed]):
            raise LinkInvalid
        if int(expires) <= now_s:
            raise LinkExpired
        return int(expires)


def expiry(now_s: float, lifetime_s: int) -> int:
    """Returns when a link ends that is valid for at least ``lifetime_s``, and at most a quarter longer."""
    window = max(_MIN_WINDOW_S, lifetime_s // _WINDOWS)
    return (int(now_s + lifetime_s) // window + 1) * window


def _sign(key: str, purpose: LinkPurpose, path: str, expires_s: int) -> str:
    message = f"previewops-link-1\n{purpose.value}\n{expires_s}\n{path}"
    raw = hmac.digest(key.encode(), message.encode("utf-8", "surrogatepass"), sha256)
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
