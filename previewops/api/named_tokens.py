"""Named tokens of the REST API: the lines of PREVIEW_API_TOKENS_FILE, and new tokens."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from previewops.api.caller import SCOPES, Caller, Permission
from previewops.queue.pending_quota import PendingQuota

MAX_TOKENS = 1_000
MAX_PROJECTS = 100
"""Projects of one token."""
MAX_RATE = 1_000_000
MAX_QUOTA = 10_000_000

ALL_PROJECTS = "*"
TOKEN_PREFIX = "pvo_"  # noqa: S105 - the beginning of every token, by which scanners find leaked ones
_TOKEN_BYTES = 32

_PROJECT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_ALLOWED = "1 to 64 of the characters A-Z a-z 0-9 _ -"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("sha256", "scopes", "projects", "rate", "queue")
_NOBODY: tuple[bytes, None] = (bytes(32), None)


class TokensInvalid(ValueError):
    """The file has an invalid entry. The message contains no value of it but names of fields, tokens and projects."""


@dataclass(frozen=True, slots=True)
class NamedTokens:
    """The tokens of a file, by the SHA-256 of each.

    SHA-256 without salt and rounds is right here, and would be wrong for passwords: a token is 32 random bytes, which
    nobody can guess from the digest however fast the function is, and no two tokens are alike. A slow function would
    only make every request slow.
    """

    callers: Mapping[bytes, tuple[bytes, Caller]]
    """Digest and caller by digest."""

    def find(self, presented: str) -> Caller | None:
        """Returns the caller whose token was presented, or None.

        How long the look-up takes depends on the digest of what was presented. A client cannot choose the digest, so
        the time reveals nothing about those in the table; the comparison itself takes constant time.
        """
        digest = hashlib.sha256(presented.encode("latin-1", "replace")).digest()
        stored, caller = self.callers.get(digest, _NOBODY)
        return caller if hmac.compare_digest(stored, digest) else None


def parse_tokens(text: str) -> NamedTokens:
    """Parses the text of a file: TOML, one token a line.

    Raises:
        TokensInvalid: the text is not TOML, or an entry is not allowed.
    """
    try:
        entries = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # The message of the parser may quote the line.
        where = re.search(r"\(at [^()]{1,60}\)$", str(error))
        raise TokensInvalid(f"found text that is not TOML {where[0] if where else ''}".rstrip()) from None
    except RecursionError:
        raise TokensInvalid("found values nested too deeply, allowed one token a line") from None
    if len(entries) > MAX_TOKENS:
        raise TokensInvalid(f"found {len(entries)} tokens, allowed {MAX_TOKENS}")
    callers: dict[bytes, tuple[bytes, Caller]] = {}
    for name, entry in entries.items():
        digest, caller = _parse_entry(name, entry)
        if digest in callers:
            raise TokensInvalid(
                f"{name}.sha256: found that of {callers[digest][1].name}, allowed another one"
            )
        callers[digest] = (digest, caller)
    return NamedTokens(callers)


def _parse_entry(name: str, entry: Any) -> tuple[bytes, Caller]:
    if _NAME.fullmatch(name) is None:
        raise TokensInvalid(f"name of a token: found another text, allowed {_NAME_ALLOWED}")
    if not isinstance(entry, dict):
        raise TokensInvalid(f"{name}: found another value, allowed {{ {', '.join(_FIELDS)} }}")
    if unknown := [field for field in entry if field not in _FIELDS]:
        raise TokensInvalid(f"{name}: found {len(unknown)} unknown fields, allowed {', '.join(_FIELDS)}")
    digest = entry.get("sha256")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise TokensInvalid(
            f"{name}.sha256: found another value, allowed 64 hexadecimal digits in lower case"
        )
    projects = _projects(name, entry.get("projects"))
    quota = _integer(name, "queue", entry.get("queue", 0), MAX_QUOTA)
    return bytes.fromhex(digest), Caller(
        _permissions(_scopes(name, entry.get("scopes")), projects),
        name,
        projects,
        f"token {name}",
        _integer(name, "rate", entry.get("rate", 0), MAX_RATE),
        PendingQuota(f"token {name}", quota, projects) if quota else None,
    )


def _scopes(name: str, value: Any) -> frozenset[Permission]:
    if not isinstance(value, list) or not value or any(item not in tuple(SCOPES) for item in value):
        raise TokensInvalid(f"{name}.scopes: found another value, allowed a list of {', '.join(SCOPES)}")
    return frozenset(map(Permission, value))


def _permissions(scopes: frozenset[Permission], projects: frozenset[str] | None) -> frozenset[Permission]:
    """Returns the permissions of scopes. Those for the whole queue follow from operate for all projects."""
    if Permission.OPERATE in scopes and projects is None:
        return scopes | {Permission.MONITOR, Permission.CONTROL}
    return scopes


def _projects(name: str, value: Any) -> frozenset[str] | None:
    if value == [ALL_PROJECTS]:
        return None
    is_list = isinstance(value, list) and 0 < len(value) <= MAX_PROJECTS
    if not is_list or not all(isinstance(item, str) and _PROJECT.fullmatch(item) for item in value):
        raise TokensInvalid(
            f'{name}.projects: found another value, allowed a list of 1 to {MAX_PROJECTS} projectIds, or ["*"]'
        )
    return frozenset(value)


def _integer(name: str, field: str, value: Any, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= maximum:
        raise TokensInvalid(f"{name}.{field}: found another value, allowed 0 (no limit) to {maximum}")
    return value


def create_token() -> str:
    """Returns a new random token."""
    return TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)


def format_entry(
    token: str, name: str, *, scopes: Sequence[str], projects: Sequence[str], rate: int, queue: int
) -> str:
    """Returns the line of the file for a token.

    Raises:
        TokensInvalid: a value is not allowed.
    """
    digest = hashlib.sha256(token.encode()).hexdigest()
    lists = f"scopes = [{_quote(scopes)}], projects = [{_quote(projects)}]"
    limits = "".join(f", {field} = {value}" for field, value in (("rate", rate), ("queue", queue)) if value)
    entry = {
        "sha256": digest,
        "scopes": list(scopes),
        "projects": list(projects),
        "rate": rate,
        "queue": queue,
    }
    _parse_entry(name, entry)
    return f'{name} = {{ sha256 = "{digest}", {lists}{limits} }}'


def _quote(items: Sequence[str]) -> str:
    return ", ".join(f'"{item}"' for item in dict.fromkeys(items))
