"""Finds the primary of a service by its Sentinels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from redis.asyncio.connection import Connection
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError

from previewops.redis_server.failures import SENTINELS_REJECT_LOGIN, UNKNOWN_SERVICE, unavailable_reason
from previewops.redis_server.sentinel_address import SentinelAddress
from previewops.redis_server.switch_listener import SwitchListener

SENTINEL_TIMEOUT_S = 1.0
"""Longest wait for one Sentinel, with connecting."""

_LOGIN_ERRORS = (AuthenticationError, NoPermissionError)


class SentinelLocator:
    """Asks the Sentinels in turn, the one that replied last first.

    A Sentinel that is cut off from the others names the old primary for as long as it is cut off. So the one that
    named a server which failed is asked last.
    """

    def __init__(
        self,
        address: SentinelAddress,
        connection_class: type[Connection],
        options: Mapping[str, Any],
        on_change: Callable[[], Awaitable[None]],
    ) -> None:
        """``options`` are those of a connection to a Sentinel, such as of TLS. ``on_change`` follows a change."""
        self._service = address.service
        self._sentinels = list(address.sentinels)
        self._connection_class = connection_class
        self._options = {
            **options,
            "username": address.username,
            "password": address.password,
            "socket_connect_timeout": SENTINEL_TIMEOUT_S,
            "socket_timeout": SENTINEL_TIMEOUT_S,
            "lib_name": None,
            "lib_version": None,
        }
        self._on_change = on_change
        self._primary: tuple[str, int] | None = None
        self._is_doubted = False
        self._listener = SwitchListener(lambda: self._connect_to(self._sentinels[0]), self._check)

    async def locate(self) -> tuple[str, int]:
        """Returns host and port of the primary, and listens for a change from then on.

        Raises:
            redis.exceptions.ConnectionError: no Sentinel names one.
        """
        errors: dict[tuple[str, int], BaseException | None] = {}
        for sentinel in tuple(self._sentinels):
            primary, error = await self._ask(sentinel)
            if primary is not None:
                self._ask_first(sentinel)
                before, self._primary, self._is_doubted = self._primary, primary, False
                self._listener.start()
                if before not in (None, primary):
                    await self._on_change()
                return primary
            errors[sentinel] = error
        raise _failure(errors, self._service)

    def doubt(self, primary: tuple[str, int]) -> None:
        """Asks the Sentinel that has named ``primary`` last from now on, unless another server was named since."""
        if primary == self._primary and not self._is_doubted:
            self._is_doubted = True
            self._sentinels.append(self._sentinels.pop(0))

    async def close(self) -> None:
        """Stops listening, until the next call of :meth:`locate`."""
        await self._listener.stop()

    async def _check(self, reporter: Connection | None) -> None:
        if reporter is not None:
            # Until they hear of a promotion, the others name the old primary.
            self._ask_first((reporter.host, reporter.port))
        await self.locate()

    def _ask_first(self, sentinel: tuple[str, int]) -> None:
        self._sentinels.remove(sentinel)
        self._sentinels.insert(0, sentinel)

    def _connect_to(self, sentinel: tuple[str, int]) -> Connection:
        host, port = sentinel
        return self._connection_class(host=host, port=port, **self._options)

    async def _ask(self, sentinel: tuple[str, int]) -> tuple[tuple[str, int] | None, BaseException | None]:
        """Returns the primary, or None and the error; two None if the Sentinel does not know the service."""
        connection = self._connect_to(sentinel)
        try:
            async with asyncio.timeout(SENTINEL_TIMEOUT_S):
                await connection.connect()
                await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
                reply = await connection.read_response()
        except (RedisError, OSError) as error:
            return None, error
        finally:
            await connection.disconnect(nowait=True)
        return (None, None) if reply is None else ((_text(reply[0]), int(reply[1])), None)


def _failure(errors: Mapping[tuple[str, int], BaseException | None], service: str) -> RedisConnectionError:
    """Returns the error that the operator can do most about."""
    if None in errors.values():
        return RedisConnectionError(f"{UNKNOWN_SERVICE}: {service}")
    if any(isinstance(error, _LOGIN_ERRORS) for error in errors.values()):
        return RedisConnectionError(SENTINELS_REJECT_LOGIN)
    reasons = (f"{host}:{port} ({_reason(error)})" for (host, port), error in errors.items())
    return RedisConnectionError(f"no Sentinel can be reached: {', '.join(reasons)}")


def _reason(error: BaseException | None) -> str:
    return (error and unavailable_reason(error)) or type(error).__name__


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
