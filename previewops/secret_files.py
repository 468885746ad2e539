"""Secrets in files: settings that name one, and systemd's credentials.

A variable of the environment is readable to every process of its user, and is passed on to children. A file has its
own permissions, and may change while a process runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl

from previewops.errors import UsageError
from previewops.regular_files import read_regular

CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY"
"""Set by systemd for a unit with LoadCredential= or SetCredential=."""

CREDENTIALS = {
    "PREVIEW_REDIS_PASSWORD_FILE": "previewops.redis-password",
    "PREVIEW_API_TOKEN_FILE": "previewops.api-token",
    "PREVIEW_API_READ_TOKEN_FILE": "previewops.api-read-token",
    "PREVIEW_API_TOKENS_FILE": "previewops.api-tokens",
    "PREVIEW_WEBHOOK_SECRET_FILE": "previewops.webhook-secret",
    "PREVIEW_LINK_KEY_FILE": "previewops.link-key",
}
"""Name of the credential that is used where a variable is not set."""

PASSWORD_FILE_PARAMETER = "password_file"  # noqa: S105 - a name
"""Query parameter of a Redis address with the path of its password file."""

MAX_SECRET_BYTES = 4096


def credential_files(environ: Mapping[str, str]) -> list[Path]:
    """Returns the credentials of this program that systemd has passed to this unit."""
    folder = environ.get(CREDENTIALS_VARIABLE)
    if not folder:
        return []
    paths = [Path(folder) / name for name in CREDENTIALS.values()]
    return [path for path in paths if path.is_file()]


def with_credentials(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Returns ``environ`` with the variables of secret files set to the paths of this unit's credentials."""
    paths = {path.name: str(path) for path in credential_files(environ)}
    added = {
        variable: paths[name]
        for variable, name in CREDENTIALS.items()
        if name in paths and not environ.get(variable)
    }
    return {**environ, **added} if added else environ


def has_password(url: str) -> bool:
    """Whether an address contains a password, or names a file with one."""
    # Not urlsplit: it raises for some lists of Sentinels.
    before, _, query = url.partition("?")
    named = any(name in ("password", PASSWORD_FILE_PARAMETER) for name, _ in parse_qsl(query))
    user, at_sign, _ = before.partition("://")[2].partition("/")[0].rpartition("@")
    return named or bool(at_sign and ":" in user)


def read_secret(path: Path) -> str:
    """Reads a secret: the text of the file without the line break at its end.

    Raises:
        OSError: the file cannot be read, is not a regular file, or is too long.
        ValueError: it is empty or not UTF-8. The message does not contain the secret.
    """
    try:
        secret = read_regular(path, MAX_SECRET_BYTES).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("found bytes that are not UTF-8") from None
    if not secret:
        raise ValueError("found no text")
    return secret


def read_secret_setting(variable: str, path: Path) -> str:
    """Reads the secret that ``variable`` names.

    Raises:
        UsageError: the file cannot be used.
    """
    try:
        return read_secret(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        message = f"{variable}: the file {path} cannot be used: {reason}"
        raise UsageError(message, hint="allowed is a file with the secret on one line") from None
