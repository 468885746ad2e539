"""Bearer tokens of the REST API from files: one token a file, or the file of named tokens, which may change."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import structlog

from previewops.api.caller import Caller
from previewops.api.named_tokens import NamedTokens, TokensInvalid, parse_tokens
from previewops.errors import UsageError
from previewops.regular_files import open_regular
from previewops.secret_files import read_secret_setting
from previewops.settings import Settings, variable_of

log = structlog.get_logger()

VARIABLE = "PREVIEW_API_TOKENS_FILE"
MAX_FILE_BYTES = 1_048_576

CHECK_INTERVAL_S = 1.0
"""Time in seconds between looks whether the file has changed: so long a removed token is still accepted."""

_OTHERS_MAY_WRITE = 0o022


class TokensFile:
    """The named tokens of a file, read again when it has changed. A file that is broken or gone changes nothing.

    Raises:
        UsageError: the file cannot be used at the start.
    """

    def __init__(self, path: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._monotonic = monotonic
        self._stamp = _stamp(path)
        self._check_at = monotonic() + CHECK_INTERVAL_S
        try:
            self._tokens = read_tokens(path)
        except TokensInvalid as error:
            hint = "`previewops token new` prints a line for the file"
            raise UsageError(f"{VARIABLE}: the file {path} cannot be used: {error}", hint=hint) from None

    def find(self, presented: str) -> Caller | None:
        """Returns the caller whose token was presented, or None."""
        now = self._monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK_INTERVAL_S
            stamp = _stamp(self._path)
            if stamp != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._tokens.find(presented)

    def _reload(self) -> None:
        try:
            self._tokens = read_tokens(self._path)
        except TokensInvalid as error:
            log.error("api.tokens-rejected", file=str(self._path), error=str(error))
        else:
            log.info("api.tokens-loaded", file=str(self._path), tokens=len(self._tokens.callers))


def open_tokens_file(settings: Settings) -> TokensFile | None:
    """Returns the named tokens of PREVIEW_API_TOKENS_FILE; None if it is not set.

    Raises:
        UsageError: the file cannot be used.
    """
    return None if settings.api_tokens_file is None else TokensFile(settings.api_tokens_file)


def read_tokens(path: Path) -> NamedTokens:
    """Reads a file of named tokens.

    Raises:
        TokensInvalid: it cannot be read, others than its owner may write to it, or its text is not allowed.
    """
    try:
        with open_regular(path, MAX_FILE_BYTES) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES)
    except OSError as error:
        raise TokensInvalid(error.strerror or "it cannot be read") from None
    if mode & _OTHERS_MAY_WRITE:
        raise TokensInvalid(f"mode: found {mode & 0o777:04o}, allowed is no write permission but the owner's")
    try:
        return parse_tokens(data.decode("utf-8"))
    except UnicodeDecodeError:
        raise TokensInvalid("found bytes that are not UTF-8") from None


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Returns what changes when a file is written or replaced; None if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_mode


def with_tokens_from_files(settings: Settings) -> Settings:
    """Returns ``settings`` with the tokens of PREVIEW_API_TOKEN_FILE and PREVIEW_API_READ_TOKEN_FILE.

    Raises:
        UsageError: a file cannot be read, or its token is not allowed.
    """
    tokens = {
        variable_of(name): read_secret_setting(variable_of(f"{name}_file"), path)
        for name, path in _token_files(settings).items()
    }
    if not tokens:
        return settings
    # The rules of a token, and of both tokens together, are those of the variables.
    plain = {"api_token": settings.api_token, "api_read_token": settings.api_read_token}
    given = {variable_of(name): token for name, token in plain.items() if token is not None}
    try:
        checked = Settings.from_env({**given, **tokens})
    except UsageError as error:
        files = ", ".join(str(path) for path in _token_files(settings).values())
        raise UsageError(error.message, hint=f"correct the token in {files} and start again") from None
    return replace(settings, api_token=checked.api_token, api_read_token=checked.api_read_token)


def _token_files(settings: Settings) -> dict[str, Path]:
    files = {"api_token": settings.api_token_file, "api_read_token": settings.api_read_token_file}
    return {name: path for name, path in files.items() if path is not None}
