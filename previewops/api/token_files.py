"""Bearer tokens of the REST API from files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from previewops.errors import UsageError
from previewops.secret_files import read_secret_setting
from previewops.settings import Settings, variable_of


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
