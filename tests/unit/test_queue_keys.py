"""Redis keys: arq's own keys as arq names them, all others under the queue's name."""

from __future__ import annotations

from arq import constants
from hypothesis import given
from hypothesis import strategies as st

from previewops.queue.keys import (
    ARQ_ABORTS,
    ARQ_IN_PROGRESS_PREFIX,
    ARQ_JOB_PREFIX,
    ARQ_RESULT_PREFIX,
    Keys,
)
from previewops.states import Priority

queue_names = st.from_regex(r"[A-Za-z0-9._-]{1,100}", fullmatch=True)


def test_arq_keys_match_arq() -> None:
    assert constants.job_key_prefix == ARQ_JOB_PREFIX
    assert constants.result_key_prefix == ARQ_RESULT_PREFIX
    assert constants.in_progress_key_prefix == ARQ_IN_PROGRESS_PREFIX
    assert constants.abort_jobs_ss == ARQ_ABORTS
    assert Keys("q").arq_health == f"q{constants.health_check_key_suffix}"
    assert Keys("q").schedule == "q", "arq names its sorted set after the queue"


@given(queue=queue_names)
def test_scripts_have_every_key_under_one_name(queue: str) -> None:
    keys = Keys(queue).lua_names()
    assert len(set(keys.values())) == len(keys)
    arqs = {ARQ_JOB_PREFIX, ARQ_RESULT_PREFIX, ARQ_IN_PROGRESS_PREFIX, ARQ_ABORTS}
    ours = set(keys.values()) - arqs - {queue}
    assert all(key.startswith(f"{queue}:") for key in ours)
    assert all(name.startswith("P_") == key.endswith(":") for name, key in keys.items() if key in ours)


def test_names_in_scripts_match_python_keys() -> None:
    keys = Keys("q")
    names = keys.lua_names()
    attributes = {
        name: value
        for name in dir(keys)
        if not name.startswith("_") and isinstance(value := getattr(keys, name), str)
    }
    known = {value for name, value in attributes.items() if name != "queue"}
    known |= {key for priority in Priority for key in (keys.waiting(priority), keys.turns(priority))}
    known |= {ARQ_JOB_PREFIX, ARQ_RESULT_PREFIX, ARQ_IN_PROGRESS_PREFIX, ARQ_ABORTS}
    assert set(names.values()) == known
    assert [names["K_HIGH"], names["K_NORMAL"], names["K_LOW"]] == [keys.waiting(p) for p in Priority]
