"""The password of Redis from a file, which is read for each connection: a new password needs no restart.

An address carries the path as the query parameter ``password_file``, so that every caller that connects has it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlencode

from previewops.secret_files import PASSWORD_FILE_PARAMETER as PARAMETER
from previewops.secret_files import read_secret

if TYPE_CHECKING:
    from redis.credentials import CredentialProvider


def with_password_file(url: str, path: Path) -> str:
    """Returns ``url`` with the path of a password file."""
    separator = "&" if "?" in url else "?"
    return f"{url}{separator}{urlencode({PARAMETER: str(path.absolute())}, safe='/')}"


def without_password_file(url: str) -> str:
    """Returns ``url`` without the path of a password file."""
    return _split(url)[0]


def split_password_file(url: str) -> tuple[str, CredentialProvider | None]:
    """Returns ``url`` without user and file, and the provider of both; the same ``url`` and None without a file."""
    bare, path = _split(url)
    if path is None:
        return url, None
    scheme, separator, rest = bare.partition("://")
    authority, slash, place = rest.partition("/")
    user, _, host = authority.rpartition("@")
    return f"{scheme}{separator}{host}{slash}{place}", _build_provider(unquote(user), Path(path))


def _split(url: str) -> tuple[str, str | None]:
    before, _, query = url.partition("?")
    fields = parse_qsl(query, keep_blank_values=True)
    path = next((value for name, value in fields if name == PARAMETER), None)
    if path is None:
        return url, None
    kept = urlencode([field for field in fields if field[0] != PARAMETER], safe="*/")
    return f"{before}?{kept}" if kept else before, path


def _build_provider(user: str, path: Path) -> CredentialProvider:
    from redis.credentials import CredentialProvider  # noqa: PLC0415 - start-up time of commands without Redis
    from redis.exceptions import ConnectionError as RedisConnectionError  # noqa: PLC0415 - the same

    class FileCredentials(CredentialProvider):
        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            try:
                password = read_secret(path)
            except (OSError, ValueError) as error:
                reason = error.strerror if isinstance(error, OSError) else error
                message = f"the password file {path} cannot be read: {reason}"
                raise RedisConnectionError(message) from None
            return (user, password) if user else (password,)

        async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
            # The inherited method logs a warning for every connection.
            return self.get_credentials()

    return FileCredentials()
