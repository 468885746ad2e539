"""Values of environment variables: what each kind of setting may be. Functions raise InvalidValue. Pure."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from previewops.bucket_addresses import BucketAddress, parse_bucket_address
from previewops.errors import UsageError
from previewops.host_patterns import HostPattern, parse_host_pattern
from previewops.project_limits import LIMITS_ALLOWED, ProjectLimits, parse_project_limits

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network


class InvalidValue(Exception):
    """A value that its variable does not allow; the text is what is allowed."""


QUEUE_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}")
"""Queue names. A colon would share keys: ``shop:dead`` is both a queue's key and one of the queue ``shop``."""

RESERVED_QUEUE_NAMES = ("arq",)
"""Prefixes of arq's own keys: the queue's keys would be arq's."""


def queue_name(raw: str) -> str:
    if ":" in raw:
        move = "`previewops doctor --rename-from OLD` moves a queue to another name"
        raise InvalidValue(f"1 to 100 of the characters A-Z a-z 0-9 - _ . without a colon ({move})")
    if QUEUE_NAME.fullmatch(raw) is None or raw in RESERVED_QUEUE_NAMES:
        reserved = ", ".join(RESERVED_QUEUE_NAMES)
        raise InvalidValue(f"1 to 100 of the characters A-Z a-z 0-9 - _ . and not {reserved}")
    return raw


def redis_url(raw: str) -> str:
    if not raw.startswith(("redis://", "rediss://", "unix://", "redis+sentinel://", "rediss+sentinel://")):
        raise InvalidValue("an address that starts with redis://, rediss://, unix:// or redis+sentinel://")
    return raw


def one_of(choices: type[StrEnum]) -> Callable[[str], StrEnum]:
    def parse(raw: str) -> StrEnum:
        if raw not in tuple(choices):
            raise InvalidValue(f"one of {', '.join(choices)}")
        return choices(raw)

    return parse


def token(raw: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", raw) is None:
        raise InvalidValue("16 to 512 of the characters A-Z a-z 0-9 . _ ~ + / = -")
    return raw


def webhook_url(raw: str) -> str:
    if re.fullmatch(r"https?://[^\s\x00-\x20]{1,2000}", raw) is None:
        raise InvalidValue("an address that starts with https:// or http://")
    return raw


def webhook_secret(raw: str) -> str:
    if re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}", raw) is None:
        raise InvalidValue("whsec_ and 24 to 64 bytes in base64, as `openssl rand -base64 32` makes them")
    return raw


def parse_webhook_secret(variable: str, raw: str) -> str:
    """Returns the secret in the text of the file that ``variable`` names.

    Raises:
        UsageError: it is not one. The message does not contain it.
    """
    try:
        return webhook_secret(raw)
    except InvalidValue as allowed:
        raise UsageError(f"{variable}: found another value, allowed {allowed}") from None


_LINK_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")
_LINK_KEYS_ALLOWED = "one key or two, separated by ',', each of 32 to 512 of A-Z a-z 0-9 . _ ~ + / = -"
_MAX_LINK_KEYS = 2


def link_keys(raw: str) -> tuple[str, ...]:
    keys = tuple(part.strip() for part in raw.split(","))
    if len(keys) > _MAX_LINK_KEYS or not all(map(_LINK_KEY.fullmatch, keys)):
        raise InvalidValue(_LINK_KEYS_ALLOWED)
    return keys


def parse_link_keys(variable: str, raw: str) -> tuple[str, ...]:
    """Returns the keys in the text of the file that ``variable`` names.

    Raises:
        UsageError: the text has no valid keys. The message does not contain it.
    """
    try:
        return link_keys(raw)
    except InvalidValue as allowed:
        raise UsageError(f"{variable}: found another value, allowed {allowed}") from None


def origins(raw: str) -> tuple[str, ...]:
    origins = tuple(part.strip().lower() for part in raw.split(",") if part.strip())
    if not all(re.fullmatch(r"https?://[a-z0-9.-]{1,253}(:[0-9]{1,5})?", origin) for origin in origins):
        raise InvalidValue("origins such as https://app.example or http://localhost:3000, separated by ','")
    return origins


def public_url(raw: str) -> str:
    if re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]{1,260}(/[A-Za-z0-9._~-]{1,100}){0,10}/?", raw) is None:
        raise InvalidValue("an address such as https://previews.example, without a query")
    return raw.rstrip("/")


def sendfile(raw: str) -> str:
    if raw != "x-sendfile" and re.fullmatch(r"x-accel-redirect:/[A-Za-z0-9._~/-]{0,200}", raw) is None:
        raise InvalidValue("x-sendfile, or x-accel-redirect:/internal/path")
    return raw


def bucket(raw: str) -> BucketAddress:
    try:
        return parse_bucket_address(raw)
    except ValueError as allowed:
        raise InvalidValue(str(allowed)) from None


def buckets(raw: str) -> tuple[BucketAddress, ...]:
    return tuple(bucket(part.strip()) for part in raw.split(",") if part.strip())


# Messages omit these values: an address may contain a password.
SECRETS = (redis_url, token, bucket, buckets, link_keys, webhook_url, webhook_secret)


def folder(raw: str) -> Path:
    if not raw or "\0" in raw:
        raise InvalidValue("a folder path")
    return Path(raw)


def file(raw: str) -> Path:
    if "\0" in raw:
        raise InvalidValue("a file path")
    return Path(raw)


def folders(raw: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in raw.split(os.pathsep) if part)


def host_names(raw: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in raw.split(",") if part.strip())
    if any(re.fullmatch(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]+\]", name) is None for name in names):
        raise InvalidValue("host names or addresses without a port, separated by ','")
    return names


def networks(raw: str) -> tuple[IPv4Network | IPv6Network, ...]:
    from ipaddress import ip_network  # noqa: PLC0415 - most commands need no networks

    try:
        return tuple(ip_network(part.strip()) for part in raw.split(",") if part.strip())
    except ValueError:
        raise InvalidValue("addresses or networks such as 10.0.0.0/8, separated by ','") from None


def hosts(raw: str) -> tuple[HostPattern, ...]:
    hosts = [parse_host_pattern(part.strip()) for part in raw.split(",") if part.strip()]
    if None in hosts:
        raise InvalidValue(
            "host names separated by ',', each optionally *.name, name:port or name=10.1.0.0/16"
        )
    return tuple(filter(None, hosts))


def project_limits(raw: str) -> tuple[tuple[str, ProjectLimits], ...]:
    limits = parse_project_limits(raw)
    if limits is None:
        raise InvalidValue(LIMITS_ALLOWED)
    return limits
