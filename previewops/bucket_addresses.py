"""Addresses of buckets and prefixes: ``s3://bucket/prefix``, ``gs://…``, ``az://container/prefix``. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl, urlsplit

SCHEMES = ("s3", "gs", "az")
ALLOWED = (
    "s3://bucket/prefix, gs://bucket/prefix or az://container/prefix, with ?endpoint=…&region=… where needed"
)

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,254}")
_PREFIX = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
_REGION = re.compile(r"[A-Za-z0-9-]{1,63}")
_OPTIONS = ("endpoint", "region")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A bucket, a prefix in it ("" for all of it), and where its service is, if not at the provider's own address."""

    scheme: str
    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None

    def contains(self, scheme: str, bucket: str, key: str) -> bool:
        """Whether an object is below this address."""
        below = not self.prefix or key.startswith(f"{self.prefix}/")
        return (self.scheme, self.bucket) == (scheme, bucket) and below

    def below(self, folder: str) -> BucketAddress:
        """The address of a folder below this one."""
        return replace(self, prefix=f"{self.prefix}/{folder}" if self.prefix else folder)

    def whole(self) -> BucketAddress:
        """The address of the whole bucket."""
        return replace(self, prefix="")

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")


def parse_bucket_address(raw: str) -> BucketAddress:
    """Parses an address.

    Raises:
        ValueError: it is none. The text is what is allowed; it never contains the address, in which a key may be.
    """
    try:
        parts = urlsplit(raw)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        endpoint = urlsplit(dict(options).get("endpoint", "https://host"))
    except ValueError:
        raise ValueError(ALLOWED) from None
    prefix = parts.path.strip("/")
    named = dict(options)
    valid = (
        parts.scheme in SCHEMES
        and _BUCKET.fullmatch(parts.netloc)  # neither a password nor a port
        and (not prefix or _PREFIX.fullmatch(prefix))
        and not parts.fragment
        and len(named) == len(options)
        and set(named) <= set(_OPTIONS)
        and endpoint.scheme in ("http", "https")
        and endpoint.netloc
        and "@" not in endpoint.netloc
        and not endpoint.query
        and not endpoint.fragment
        and _REGION.fullmatch(named.get("region", "none"))
    )
    if not valid:
        raise ValueError(ALLOWED)
    return BucketAddress(
        parts.scheme, parts.netloc, prefix, _without_slash(named.get("endpoint")), named.get("region")
    )


def _without_slash(endpoint: str | None) -> str | None:
    return endpoint and endpoint.rstrip("/")
