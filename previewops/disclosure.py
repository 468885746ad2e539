"""What may be shown where: the one place that decides which secrets and paths a text may contain. Pure.

| outlet | secrets, queries of addresses | paths of a host | payloads |
|---|---|---|---|
| log lines of the host | removed (``redact``) | kept | never |
| texts in Redis: reasons, messages, tracebacks | removed (``redact``) | kept, for operators | whole, to render |
| command line and screen | removed where stored | kept | queries removed (``payload_for_display``) |
| ``dlq export``, the payload editor | removed where stored | kept | whole: they are submitted again |
| REST API | removed | file names alone (``for_rest``) | never |

The query of an address may be its signature, which grants access to the file.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any
from urllib.parse import parse_qsl, urlencode

REDACTED = "***"
"""Replaces a secret in messages and logs."""

_SECRET_QUERY = ("password", "sentinel_password")
_HOST_AND_PORT = re.compile(r"(?:[^:@\[\]]+|\[[^@\[\]]*\])(?::[0-9]*)?")
_HOSTS = re.compile(
    r"(?:[^:@\[\],]+|\[[^@\[\]]*\])(?::[0-9]*)?(?:,(?:[^:@\[\],]+|\[[^@\[\]]*\])(?::[0-9]*)?)*"
)
_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]{0,30}://"
# Quoted: to the same quote, as an address may contain others. Bare: to a blank, or to the next address.
_ADDRESS = re.compile(
    rf"""(?P<quote>\\{{0,8}}["'`]) (?P<quoted>{_SCHEME}[^\n]*?) (?<!\\)(?P=quote)
      | (?P<bare>{_SCHEME}(?:(?!{_SCHEME})\S)+)""",
    re.VERBOSE,
)
_STARTS_WITH_SCHEME = re.compile(_SCHEME)
_QUERY_IS_KEPT = ("redis", "unix")  # schemes of Redis servers, whose queries are options
_QUERY = re.compile(r"[?#]")
_INLINE = re.compile(r"(?i)\b(data:[\w.+/-]{0,100}(?:;[\w.+=-]{1,100}){0,4},)[^\s\"'<>`]+")
_SCHEME_AND_SECRET = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}")
_NAMED_SECRET = re.compile(
    r"""(?isx)\b
    ( [\w-]{0,40} (?:password|passwd|pwd|secret|token|api[_-]?key) \\{0,8}["']? \s*[=:]\s* )
    (?: (["'])           (?: (?:\\.|(?!\2)[^\\])* (\2) | [^\n]+ )  # quoted: to the end of it, or of the line
      | (\\{1,8}["'])    (?: .*? (?<!\\)(\4)             | [^\n]+ )  # the same within a text that is quoted itself
      | [^\s"',;&]+
    )"""
)
_PUNCTUATION = ").,:;]}>\"'`"  # at the end of a bare address it belongs to the sentence
_BUNDLE_PARTS = 3  # previews, project, job
# A path of a host, quoted or bare. "//" and what follows a word are addresses or relative paths.
_QUOTED_PATH = re.compile(r"""(["'])((?i:(?:file|unix)://)?/(?!/)[^\n]*?)\1""")
_BARE_PATH = re.compile(
    r"""(?<![\w/.%~…\\-]) (?i:(?:file|unix)://(?:localhost)?)? (/(?!/)[^\s"'<>|,;()\[\]{}]+)""", re.VERBOSE
)
# JSON pointers into a payload look like paths.
_POINTER = re.compile(
    r"/(?:jobId|projectId|requestId|dryRun|priority|attempts|createdAt|updatedAt|previewRequest|x-[\w-]*)(?![\w.-])"
)


# Most texts of a job are names of files, media types and times. They hide nothing, and this search is cheap.
_PLAIN = re.compile(r"[\w.-]++(?:/[\w.-]++)*+|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)


def redact(text: str) -> str:
    """Returns ``text`` without passwords in addresses, queries of web addresses, inline data and bearer tokens."""
    text = _INLINE.sub(rf"\1{REDACTED}", text)
    text = _ADDRESS.sub(_redact_address, text)
    text = _SCHEME_AND_SECRET.sub(rf"\1 {REDACTED}", text)
    return _NAMED_SECRET.sub(_redact_value, text)


def _redact_address(match: re.Match[str]) -> str:
    if (quoted := match["quoted"]) is not None:
        return match["quote"] + _without_secrets(quoted) + match["quote"]
    url = match["bare"].rstrip(_PUNCTUATION)
    return _without_secrets(url) + match["bare"][len(url) :]


def _without_secrets(url: str) -> str:
    if url.lower().startswith(_QUERY_IS_KEPT):
        return redact_url(url)
    # A query may be a signature, which is a secret. Remove it first, because it may contain an "@".
    bare = _QUERY.split(url, maxsplit=1)[0]
    return redact_url(bare) if bare == url else f"{redact_url(bare)}?{REDACTED}"


def _redact_value(match: re.Match[str]) -> str:
    name, opening, closing, opening_within, closing_within = match.groups(default="")
    return f"{name}{opening or opening_within}{REDACTED}{closing or closing_within}"


def redact_url(url: str) -> str:
    """Returns ``url`` without its password, for messages and logs.

    A password that is not percent-encoded may contain delimiters (``/ ? # @``), so everything up to the last ``@``
    is removed. It is better to hide too much than to show half a password.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url.rpartition("@")[2]
    rest = _redact_query(rest)
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    is_redis = scheme.lower().startswith("redis")
    hosts = _HOSTS if is_redis else _HOST_AND_PORT
    is_host = not authority or hosts.fullmatch(authority) is not None
    # The path of a web address or a socket may contain an "@"; that of a Redis server is a service or a number.
    if is_host and ("@" not in rest or not is_redis):
        return f"{scheme}://{rest}"
    user, at_sign, host = rest.rpartition("@")
    if not at_sign:
        return f"{scheme}://{REDACTED}"
    name, has_password, _ = user.partition(":")
    return f"{scheme}://{name}:{REDACTED}@{host}" if has_password else f"{scheme}://{rest}"


def _redact_query(rest: str) -> str:
    before, _, query = rest.partition("?")
    fields = parse_qsl(query, keep_blank_values=True)
    shown = [(name, REDACTED if name in _SECRET_QUERY else value) for name, value in fields]
    if shown == fields:
        return rest
    return f"{before}?{urlencode(shown, safe='*/')}"


def hide_query(uri: str) -> str:
    """Returns the uri of an asset without query, fragment and password; ``data:`` uris are returned unchanged."""
    if uri[:5].lower() == "data:":
        return uri
    bare = _QUERY.split(uri, maxsplit=1)[0]
    shown = redact_url(bare) if "://" in bare else bare
    return shown if bare == uri else f"{shown}?{REDACTED}"


def payload_for_display(payload: Any) -> Any:
    """Returns a copy of a payload, of any shape, in which no uri and no web address has a query."""
    if isinstance(payload, Mapping):
        return {
            _text_for_display(name): hide_query(value)
            if name == "uri" and isinstance(value, str)
            else payload_for_display(value)
            for name, value in payload.items()
        }
    if isinstance(payload, list):
        return [payload_for_display(item) for item in payload]
    return _text_for_display(payload) if isinstance(payload, str) else payload


def _text_for_display(text: str) -> str:
    if "://" not in text:
        return text
    # An address alone may contain blanks.
    return hide_query(text) if _STARTS_WITH_SCHEME.match(text) else _ADDRESS.sub(_redact_address, text)


def for_rest(value: Any) -> Any:
    """Returns a copy of a JSON value for clients of the REST API: no secrets, no paths of a host, bundles relative.

    A path becomes "…/" and its last part. A bundle's folder becomes its path below DATA_DIR.
    """
    if isinstance(value, Mapping):
        return {
            name: _relative_bundle(item) if name == "bundle" and isinstance(item, str) else for_rest(item)
            for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [for_rest(item) for item in value]
    if (
        isinstance(value, str)
        and ("/" in value or "=" in value or ":" in value)
        and not _PLAIN.fullmatch(value)
    ):
        text = _QUOTED_PATH.sub(lambda match: match[1] + _file_name(match[2]) + match[1], redact(value))
        return _BARE_PATH.sub(lambda match: _file_name(match[1]), text)
    return value


def _file_name(path: str) -> str:
    if _POINTER.match(path):
        return path
    return f"…/{path.rstrip('/').rpartition('/')[2]}"


def _relative_bundle(path: str) -> str:
    return "/".join(PurePath(path).parts[-_BUNDLE_PARTS:])
