"""No pattern of the Lua scripts takes more than linear time: one slow script blocks all of Redis."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from previewops.redis_server.connection import connect
from tests.growth import MAX_RATIO

pytestmark = pytest.mark.redis

SCRIPTS = Path(__file__).parents[2] / "previewops/queue/lua"
CALL = re.compile(r"string\.(find|match|gmatch|gsub)\(")
PATTERN_CALL = re.compile(r"string\.(find|match|gmatch|gsub)\([\w.]+, '((?:[^'\\]|\\.)*)'")
PLAIN_CALL = re.compile(r"string\.find\([\w.()]+, [^\n)]+, 1, true\)")
MARKS = ' "{}[],:a0_%\\\n'

SIZE = 3_000
SUSPECT_S = 0.1
"""Linear work on all texts takes a fifth of it, quadratic work five times as much."""

RUN = """
local run = assert(loadstring('local text = ... ; for _ in string.gmatch(text, ' .. ARGV[2] .. ') do end'))
for i = 3, #ARGV do
  run(string.rep(ARGV[i], ARGV[1]) .. '\\0')
end
"""


def lua_calls() -> list[tuple[str, str]]:
    """Returns (script, quoted pattern) of every call that takes a pattern."""
    calls: list[tuple[str, str]] = []
    for path in sorted(SCRIPTS.rglob("*.lua")):
        text = PLAIN_CALL.sub("", path.read_text("utf-8"))
        with_pattern = [match[2] for match in PATTERN_CALL.finditer(text)]
        # A pattern that is not a literal, or another way to call, would escape this test.
        assert len(CALL.findall(text)) == len(with_pattern), path
        assert re.search(r":(find|match|gmatch|gsub)\(", text) is None, path
        calls += [(path.name, f"'{pattern}'") for pattern in with_pattern]
    return calls


async def is_slow(url: str, pattern: str) -> bool:
    """Whether four times the text costs more than nine times the processor time of the server, in its own account."""
    pumps = ["".join(pump) for length in (1, 2) for pump in itertools.product(MARKS, repeat=length)]
    # A script with a bad pattern takes seconds.
    redis = connect(f"{url}{'&' if '?' in url else '?'}socket_timeout=120", role="test")

    async def cost(size: int, times: int = 3) -> float:
        costs = []
        for _ in range(times):
            began = (await redis.info("cpu"))["used_cpu_user_main_thread"]
            await redis.eval(RUN, 0, size, pattern, *pumps)
            costs.append((await redis.info("cpu"))["used_cpu_user_main_thread"] - began)
        return min(costs)

    try:
        if await cost(SIZE, times=1) <= SUSPECT_S:
            return False
        return await cost(SIZE) > MAX_RATIO**2 * await cost(SIZE // 4)
    finally:
        await redis.aclose()


@pytest.mark.parametrize(("script", "pattern"), sorted(set(lua_calls())))
async def test_pattern_of_a_script_is_linear(redis_url: str, script: str, pattern: str) -> None:
    assert not await is_slow(redis_url, pattern), script


@pytest.mark.parametrize("pattern", ["'a.-b'", "'%s*$'"])
async def test_bad_pattern_is_detected(redis_url: str, pattern: str) -> None:
    assert await is_slow(redis_url, pattern)
