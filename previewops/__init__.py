"""Background preview rendering on arq and Redis that loses no job."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from previewops.client import AsyncClient, Client

__version__ = "0.1.0"

__all__ = ["AsyncClient", "Client", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports the clients on first use, since they import the Redis client."""
    if name in ("AsyncClient", "Client"):
        from previewops import client  # noqa: PLC0415 - see above

        return getattr(client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
