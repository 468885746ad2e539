"""Classification of Redis errors."""

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as RedisTimeoutError

from previewops.redis_server.failures import Recovery, classify, needs_new_connection

QUOTED = "ERR Error running script (call to f_3d): @user_script:3: @user_script: 3: -"

REPLIES = [
    ("OOM command not allowed when used memory > 'maxmemory'.", Recovery.RETRY),
    ("MISCONF Redis is configured to save RDB snapshots", Recovery.RETRY),
    ("CLUSTERDOWN The cluster is down", Recovery.RETRY),
    ("TRYAGAIN Multiple keys request during rehashing of slot", Recovery.RETRY),
    ("BUSY Redis is busy running a script.", Recovery.RETRY),
    ("LOADING Redis is loading the dataset in memory", Recovery.RETRY),
    ("ERR max number of clients reached", Recovery.RETRY),
    ("READONLY You can't write against a read only replica.", Recovery.RECONNECT),
    ("MASTERDOWN Link with MASTER is down", Recovery.RECONNECT),
    ("NOREPLICAS Not enough good replicas to write.", Recovery.RECONNECT),
    (
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)",
        Recovery.RECONNECT,
    ),
    ("NOAUTH Authentication required.", Recovery.LOGIN),
    ("WRONGPASS invalid username-password pair", Recovery.LOGIN),
    ("NOPERM this user has no permissions to run the 'evalsha' command", Recovery.LOGIN),
    (
        "ERR The user executing the script can't run this command or subcommand script: 1531, on @user_script:3.",
        Recovery.LOGIN,
    ),
    (
        "ERR ACL failure in script: User w has no permissions to run the 'time' command script: 1531",
        Recovery.LOGIN,
    ),
    ("MOVED 3999 127.0.0.1:6381", Recovery.NONE),
    ("ASK 3999 127.0.0.1:6381", Recovery.NONE),
    ("CROSSSLOT Keys in request don't hash to the same slot", Recovery.NONE),
    ("ERR Script attempted to access a non local key in a cluster node script", Recovery.NONE),
    ("ERR DB index is out of range", Recovery.NONE),
    ("ERR unknown command 'EVALSHA', with args beginning with:", Recovery.NONE),
]


@pytest.mark.parametrize(("reply", "recovery"), REPLIES)
def test_replies_name_their_reason_and_recovery(reply: str, recovery: Recovery) -> None:
    failure = classify(BaseParser.parse_error(reply))
    assert (failure.recovery, failure.reason is None) == (recovery, False)


@pytest.mark.parametrize(
    ("reply", "recovery"),
    [case for case in REPLIES if not case[0].startswith(("ERR", "UNBLOCKED", "LOADING"))],
)
def test_servers_before_7_quote_the_reply_inside_a_script_error(reply: str, recovery: Recovery) -> None:
    assert classify(BaseParser.parse_error(QUOTED + reply)).recovery is recovery


@pytest.mark.parametrize(("reply", "recovery"), REPLIES)
def test_the_client_hides_a_reply_to_the_handshake(reply: str, recovery: Recovery) -> None:
    error = BaseParser.parse_error(reply)
    hidden = RedisConnectionError(error)
    hidden.__cause__ = error
    assert classify(hidden).recovery is recovery


@pytest.mark.parametrize(
    "reply",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR user_script:1: attempt to concatenate a nil value",
        "ERR user_script:1: the word READONLY in a text",
    ],
)
def test_other_replies_are_bugs(reply: str) -> None:
    failure = classify(BaseParser.parse_error(reply))
    assert (failure.recovery, failure.reason) == (Recovery.NONE, None)


@pytest.mark.parametrize(
    "error",
    [
        RedisConnectionError("lost"),
        RedisTimeoutError("late"),
        ConnectionResetError(),
        TimeoutError(),
        OSError(5),
    ],
)
def test_connection_errors_are_temporary(error: Exception) -> None:
    assert classify(error).recovery is Recovery.RETRY
    assert not needs_new_connection(error)


def test_a_server_of_another_protocol_is_named() -> None:
    failure = classify(InvalidResponse('Protocol error, got "H" as reply type byte'))
    assert failure.recovery is Recovery.RECONNECT
    assert failure.reason is not None
    assert "does not speak the protocol of Redis" in failure.reason


@pytest.mark.parametrize("error", [ValueError(), TypeError(), RuntimeError()])
def test_bugs_are_permanent(error: Exception) -> None:
    assert classify(error).recovery is Recovery.NONE


def test_a_rejected_login_is_temporary_once_it_has_worked() -> None:
    failure = classify(BaseParser.parse_error("WRONGPASS invalid username-password pair"))
    assert failure.is_temporary(logged_in_before=True)
    assert not failure.is_temporary(logged_in_before=False)
