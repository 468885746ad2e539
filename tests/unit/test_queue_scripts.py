"""The Lua scripts as files: complete, documented, and consistent with Python's codes and counters."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts, script_text
from previewops.snapshot.histogram import BINS_PER_OCTAVE
from previewops.snapshot.reader import COUNTERS
from previewops.states import ScriptResult

FOLDER = files("previewops.queue.lua")
INCLUDES = {path.name for path in FOLDER.joinpath("include").iterdir()}


class Recorder:
    """Client that records its calls and returns the given replies."""

    def __init__(self, *answers: Any) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self._answers = list(answers)

    async def execute_command(self, *words: Any) -> Any:
        self.asked.append(words)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_every_file_is_a_script_and_every_script_a_file() -> None:
    found = {path.name for path in FOLDER.iterdir() if path.name.endswith(".lua")}
    assert found == {f"{name.value}.lua" for name in ScriptName}


@pytest.mark.parametrize("name", list(ScriptName))
def test_a_script_is_whole_and_says_its_keys_arguments_and_results(name: ScriptName) -> None:
    text = script_text(name)
    header = text.split("\nlocal ", 1)[0]
    assert re.search(r"^-- KEYS ", header, re.MULTILINE)
    assert re.search(r"^-- ARGV ", header, re.MULTILINE)
    assert re.search(r"^-- Results ", header, re.MULTILINE)
    assert "@include" not in text


@pytest.mark.parametrize("name", list(ScriptName))
def test_what_a_script_counts_is_written(name: ScriptName) -> None:
    own = FOLDER.joinpath(f"{name.value}.lua").read_text("utf-8")
    counts = "-- @include counters" in own
    assert counts == ("flush_counters()" in own)


def test_every_include_is_used() -> None:
    used: set[str] = set()
    for name in ScriptName:
        own = FOLDER.joinpath(f"{name.value}.lua").read_text("utf-8")
        used |= {f"{word}.lua" for word in re.findall(r"^-- @include (\w+)$", own, re.MULTILINE)}
    assert used == INCLUDES


def test_the_result_codes_are_the_enum() -> None:
    text = FOLDER.joinpath("include", "keys.lua").read_text("utf-8")
    told: dict[str, int] = {}
    for names, numbers in re.findall(r"^local ([A-Z_, ]+) = ([\d, ]+)$", text, re.MULTILINE):
        told |= dict(zip(names.split(", "), map(int, numbers.split(", ")), strict=True))
    assert told == {code.name: code.value for code in ScriptResult}


def test_the_counters_are_those_that_snapshots_read() -> None:
    text = "".join(script_text(name) for name in ScriptName)
    counted = set(re.findall(r"\bcount\('(\w+)'", text)) | {"crashed", "retried"}
    assert counted == set(COUNTERS)
    assert f"math.log(2) / {BINS_PER_OCTAVE}" in text


def test_no_script_reads_more_than_it_should() -> None:
    walking_active = {ScriptName.RELEASE_UNKNOWN_CLAIMS, ScriptName.DEREGISTER_WORKER}
    for name in ScriptName:
        text = script_text(name)
        assert not re.search(r"redis\.call\('(KEYS|SCAN|SMEMBERS|HVALS)'", text)
        # A job has few attempts.
        assert bool(re.search(r"'LRANGE', [^,]+, 0, -1", text)) == (name is ScriptName.READ_JOB)
        whole = re.findall(r"'ZRANGE', (\w+), 0, -1", text)
        allowed = ["K_ACTIVE"] if name in walking_active else []
        assert whole == (["K_WORKERS"] if name is ScriptName.SNAPSHOT else allowed)


async def test_a_known_script_is_called_by_its_digest() -> None:
    client = Recorder(b"ok")
    scripts = Scripts(client, Keys("q"))  # type: ignore[arg-type]
    assert await scripts.run(ScriptName.RENEW, "a", 1) == b"ok"
    loaded = scripts.loaded(ScriptName.RENEW)
    assert loaded.sha == hashlib.sha1(loaded.text.encode()).hexdigest()
    assert client.asked == [("EVALSHA", loaded.sha, 1, "q", "a", 1)]


async def test_an_unknown_script_is_sent_whole_once() -> None:
    client = Recorder(NoScriptError("NOSCRIPT"), b"ok")
    scripts = Scripts(client, Keys("q"))  # type: ignore[arg-type]
    assert await scripts.run(ScriptName.RENEW, "a") == b"ok"
    loaded = scripts.loaded(ScriptName.RENEW)
    assert client.asked[1] == ("EVAL", loaded.text, 1, "q", "a")


async def test_other_errors_pass_through() -> None:
    client = Recorder(ResponseError("OOM command not allowed"))
    with pytest.raises(ResponseError, match="OOM"):
        await Scripts(client, Keys("q")).run(ScriptName.SUBMIT)  # type: ignore[arg-type]
    assert len(client.asked) == 1
