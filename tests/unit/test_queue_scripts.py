"""The Lua scripts as files: complete, documented, and consistent with Python's codes and counters."""

from __future__ import annotations

import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoScriptError, ResponseError

from previewops.doctor.job_diagnosis import _FIELDS
from previewops.queue.keys import Keys
from previewops.queue.scripts import ScriptName, Scripts, script_text
from previewops.snapshot.histogram import BINS_PER_OCTAVE
from previewops.snapshot.reader import _RUNNING_FIELDS, COUNTERS
from previewops.states import LAYOUT, ScriptResult

FOLDER = files("previewops.queue.lua")
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"
INCLUDES = {path.name for path in FOLDER.joinpath("include").iterdir()}


class Recorder:
    """Client that records its calls and returns the given replies."""

    def __init__(self, *replies: Any) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._replies = list(replies)

    async def execute_command(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        reply = self._replies.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply


def test_script_names_match_files() -> None:
    names = {path.name for path in FOLDER.iterdir() if path.name.endswith(".lua")}
    assert names == {f"{name.value}.lua" for name in ScriptName}


@pytest.mark.parametrize("name", list(ScriptName))
def test_script_is_complete_and_documented(name: ScriptName) -> None:
    text = script_text(name)
    header = text.split("\nlocal ", 1)[0]
    assert "KEYS" not in text, "scripts use all keys by name"
    assert re.search(r"^-- ARGV ", header, re.MULTILINE)
    assert re.search(r"^-- Results ", header, re.MULTILINE)
    assert "@include" not in text


@pytest.mark.parametrize("name", list(ScriptName))
def test_scripts_that_count_flush_their_counters(name: ScriptName) -> None:
    own = FOLDER.joinpath(f"{name.value}.lua").read_text("utf-8")
    counts = "local function flush_counters()" in script_text(name)
    assert counts == ("flush_counters()" in own)


def test_every_include_is_used() -> None:
    texts = [
        path.read_text("utf-8")
        for path in (*FOLDER.iterdir(), *FOLDER.joinpath("include").iterdir())
        if path.is_file()
    ]
    used = {
        f"{name}.lua" for text in texts for name in re.findall(r"^-- @include (\w+)$", text, re.MULTILINE)
    }
    assert used == INCLUDES


@pytest.mark.parametrize("name", list(ScriptName))
def test_script_has_each_include_once(name: ScriptName) -> None:
    functions = re.findall(r"^local function (\w+)", script_text(name), re.MULTILINE)
    assert len(functions) == len(set(functions))


def test_result_codes_match_the_enum() -> None:
    text = FOLDER.joinpath("include", "keys.lua").read_text("utf-8")
    codes: dict[str, int] = {}
    for names, numbers in re.findall(r"^local ([A-Z_, ]+) = ([\d, ]+)$", text, re.MULTILINE):
        codes |= dict(zip(names.split(", "), map(int, numbers.split(", ")), strict=True))
    assert codes == {code.name: code.value for code in ScriptResult}


def test_counters_match_the_snapshot_reader() -> None:
    text = "".join(script_text(name) for name in ScriptName)
    counted = set(re.findall(r"\bcount\('(\w+)'", text)) | {"crashed", "retried"}
    assert counted == set(COUNTERS)
    assert f"math.log(2) / {BINS_PER_OCTAVE}" in text


def test_scripts_do_not_scan_unbounded_keys() -> None:
    one_job = {ScriptName.READ_JOB, ScriptName.INSPECT_JOBS, ScriptName.REPAIR_JOB}
    whole_fleet = {ScriptName.SNAPSHOT, ScriptName.SUPERVISOR_HEARTBEAT}
    walking_active = {ScriptName.RELEASE_UNKNOWN_CLAIMS, ScriptName.DEREGISTER_WORKER}
    for name in ScriptName:
        text = script_text(name)
        assert not re.search(r"\bcall\('(KEYS|SCAN|SMEMBERS|HVALS)'", text)
        # A job has few attempts.
        assert bool(re.search(r"'LRANGE', [^,]+, 0, -1", text)) == (name in one_job)
        full_ranges = re.findall(r"'ZRANGE', (\w+), 0, -1", text)
        allowed = ["K_ACTIVE"] if name in walking_active else []
        assert full_ranges == (["K_WORKERS"] if name in whole_fleet else allowed)


def test_layout_matches_the_enum() -> None:
    text = FOLDER.joinpath("include", "layout.lua").read_text("utf-8")
    assert f"\nlocal LAYOUT = {LAYOUT}\n" in text


@pytest.mark.parametrize("name", list(ScriptName))
def test_every_script_that_reads_the_queue_checks_its_layout(name: ScriptName) -> None:
    unaffected = {
        ScriptName.ACKNOWLEDGE_COMMAND,  # answers a command that was accepted
        ScriptName.DEREGISTER_SUPERVISOR,  # cleans up
    }
    assert ("local LAYOUT = " in script_text(name)) == (name not in unaffected)


def test_record_fields_match_python() -> None:
    text = FOLDER.joinpath("include", "observe_job.lua").read_text("utf-8")
    observed = re.search(r"local OBSERVED = \{(.*?)\}", text, re.DOTALL)
    assert observed is not None
    assert tuple(re.findall(r"'(\w+)'", observed[1])) == _FIELDS
    running = re.search(r"local RUNNING_FIELDS = \{(.*?)\}", script_text(ScriptName.SNAPSHOT), re.DOTALL)
    assert running is not None
    assert tuple(re.findall(r"'(\w+)'", running[1])) == _RUNNING_FIELDS


def transitions_of(name: ScriptName) -> set[tuple[str, str]]:
    """The transitions in a script's header, as (from, to)."""
    own = FOLDER.joinpath(f"{name.value}.lua").read_text("utf-8")
    header = re.search(r"^-- Transitions (.*?)^--$", own, re.MULTILINE | re.DOTALL)
    return set() if header is None else set(re.findall(r"(\w+) -> (\w+)", header[1]))


def reachable_code(text: str) -> str:
    """The main chunk of a script and the functions that it calls, directly or not."""
    functions = dict(re.findall(r"^(local function \w+).*?$(.*?)^end$", text, re.MULTILINE | re.DOTALL))
    bodies = {head.split()[-1]: body for head, body in functions.items()}
    code = re.sub(r"^local function .*?^end$", "", text, flags=re.MULTILINE | re.DOTALL)
    while called := {name for name in bodies if re.search(rf"\b{name}\(", code)}:
        code += "".join(bodies.pop(name) for name in called)
    return code


@pytest.mark.parametrize("name", list(ScriptName))
def test_header_lists_the_states_that_the_script_sets(name: ScriptName) -> None:
    code = reachable_code(script_text(name))
    targets = set(re.findall(r"'HSET', (?:P_JOB .. id|record), 'state', '(\w+)'", code))
    if re.search(r"'DEL', P_JOB .*P_ARQ_", code):
        targets.add("deleted")
    assert {target for _, target in transitions_of(name)} == targets


def test_state_diagram_matches_the_scripts() -> None:
    diagram = ARCHITECTURE.read_text("utf-8").split("stateDiagram-v2")[1].split("```")[0]
    drawn = {
        (source.replace("[*]", "new"), target.replace("[*]", "deleted"), script)
        for source, target, scripts in re.findall(r"^ *(\S+) --> (\S+): (.*)$", diagram, re.MULTILINE)
        for script in scripts.split(", ")
    }
    drawn.remove(("new", "delayed", "enqueue by a stock arq client"))
    assert drawn == {(*transition, name.value) for name in ScriptName for transition in transitions_of(name)}


async def test_known_script_runs_by_sha1() -> None:
    client = Recorder(b"ok")
    scripts = Scripts(client, Keys("q"))  # type: ignore[arg-type]
    assert await scripts.run(ScriptName.RENEW, "a", 1) == b"ok"
    loaded = scripts.loaded(ScriptName.RENEW)
    assert loaded.sha == hashlib.sha1(loaded.text.encode()).hexdigest()
    assert client.calls == [("EVALSHA", loaded.sha, 1, "q", "a", 1)]


async def test_unknown_script_is_sent_once() -> None:
    client = Recorder(NoScriptError("NOSCRIPT"), b"ok")
    scripts = Scripts(client, Keys("q"))  # type: ignore[arg-type]
    assert await scripts.run(ScriptName.RENEW, "a") == b"ok"
    loaded = scripts.loaded(ScriptName.RENEW)
    assert client.calls[1] == ("EVAL", loaded.text, 1, "q", "a")


async def test_other_errors_propagate() -> None:
    client = Recorder(ResponseError("OOM command not allowed"))
    with pytest.raises(ResponseError, match="OOM"):
        await Scripts(client, Keys("q")).run(ScriptName.SUBMIT)  # type: ignore[arg-type]
    assert len(client.calls) == 1
