"""Converts every error of a data source to ``PreviewopsError``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any, cast

from previewops.errors import PreviewopsError
from previewops.tui.protocols import DataSource


class UnexpectedError(PreviewopsError):
    """An unexpected exception: an error reply of Redis, or an internal error."""

    code = "unforeseen"

    def __init__(self, error: Exception) -> None:
        super().__init__(f"unexpected {type(error).__name__}: {error}")


@contextmanager
def wrap_errors() -> Iterator[None]:
    """Converts an unexpected exception to one that can be shown.

    Raises:
        PreviewopsError: for every exception.
    """
    try:
        yield
    except PreviewopsError:
        raise
    except Exception as error:
        raise UnexpectedError(error) from error


class _ErrorBoundary:
    def __init__(self, source: DataSource) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._source, name)

        async def call_async(*args: Any, **kwargs: Any) -> Any:
            with wrap_errors():
                return await method(*args, **kwargs)

        def call(*args: Any, **kwargs: Any) -> Any:
            with wrap_errors():
                return method(*args, **kwargs)

        return call_async if iscoroutinefunction(method) else call


def with_error_boundary(source: DataSource) -> DataSource:
    """The data source with every failure as ``PreviewopsError``, so that none ends the screen."""
    return cast("DataSource", _ErrorBoundary(source))
