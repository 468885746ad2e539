"""Signed links in requests: a link replaces the token for the one thing that it permits."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from starlette.types import Scope

from previewops.api.errors import Forbidden
from previewops.queue.job_links import ASSETS_PATH, JOBS_PATH
from previewops.signed_links import (
    EXPIRES,
    SIGNATURE,
    LinkExpired,
    LinkInvalid,
    LinkPurpose,
    LinkSigner,
)

LINK = "previewops.link"
"""Key of a request's scope: the ``VerifiedLink`` that permits it."""

_MAX_PARAMETERS = 20
_READ_METHODS = ("GET", "HEAD")
_UPLOAD_METHODS = ("GET", "HEAD", "POST", "PUT")


class LinkRejected(Forbidden):
    """The link is not valid, or no longer."""

    code = "link-rejected"


@dataclass(frozen=True, slots=True)
class VerifiedLink:
    """A valid link, until ``expires_s`` (s since the epoch)."""

    purpose: LinkPurpose
    expires_s: int


def accept_link(signer: LinkSigner | None, scope: Scope, now_s: float) -> VerifiedLink | None:
    """Checks the link of a request, and removes its parameters from the query. None: the request has no link.

    Raises:
        LinkRejected: the link is not valid for this method and path, or has expired.
    """
    if signer is None or f"{SIGNATURE}=".encode() not in scope["query_string"]:
        return None
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MAX_PARAMETERS
        )
        purpose, path = _permission(scope["method"], scope["path"])
        expires_s = signer.check(purpose, path, dict(pairs), now_s)
    except LinkExpired:
        raise LinkRejected("the link has expired", hint="ask the application for a new one") from None
    except (LinkInvalid, ValueError):
        raise LinkRejected("the signature is not valid for this method and path") from None
    rest = [(name, value) for name, value in pairs if name not in (EXPIRES, SIGNATURE)]
    scope["query_string"] = urlencode(rest).encode() if rest else b""
    scope[LINK] = link = VerifiedLink(purpose, expires_s)
    return link


def _permission(method: str, path: str) -> tuple[LinkPurpose, str]:
    """Returns what a link for this request has to permit. Raises LinkInvalid: no link can."""
    if path.startswith(f"{JOBS_PATH}/") and method in _READ_METHODS:
        return LinkPurpose.READ, path
    if (path == ASSETS_PATH or path.startswith(f"{ASSETS_PATH}/")) and method in _UPLOAD_METHODS:
        return LinkPurpose.UPLOAD, ASSETS_PATH
    raise LinkInvalid
