"""Memory limits of request bodies."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from starlette.requests import Request

from previewops.api.body_reader import BodyReader
from previewops.api.errors import BodyTooLarge, Overloaded

MIB = 1024 * 1024
PIECE = 65_536


def request_of(size: int) -> Request:
    """Returns a request whose body chunks only the reader references."""
    left = size

    async def receive() -> dict[str, Any]:
        nonlocal left
        length = min(PIECE, left)
        left -= length
        return {"type": "http.request", "body": bytes(length), "more_body": left > 0}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


async def test_body_is_not_copied() -> None:
    size = 32 * MIB
    bodies = BodyReader(size)
    tracemalloc.start()
    try:
        async with bodies.read(request_of(size), size) as raw:
            assert len(raw) == size
            held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1.1 * size
    assert peak < 1.5 * size


async def test_total_size_of_bodies_is_limited() -> None:
    bodies = BodyReader(3 * MIB)
    async with bodies.read(request_of(2 * MIB), 3 * MIB):
        with pytest.raises(Overloaded):
            async with bodies.read(request_of(2 * MIB), 3 * MIB):
                pass
    async with bodies.read(request_of(3 * MIB), 3 * MIB) as raw:
        assert raw == bytes(3 * MIB)
    with pytest.raises(BodyTooLarge):
        async with bodies.read(request_of(3 * MIB + 1), 3 * MIB):
            pass
