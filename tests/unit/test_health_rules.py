"""Health rules as pure functions."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from previewops.errors import UsageError
from previewops.health import (
    CHECKS,
    LEVELS,
    THRESHOLD_OPTIONS,
    Check,
    Confinement,
    Health,
    HealthInputs,
    RecentOutcomes,
    Status,
    Thresholds,
    evaluate,
    parse_thresholds,
    unknown_health,
    unreachable_health,
)
from previewops.queue.tolerant_values import UnreadableKeys
from previewops.queue.webhook_messages import WebhookBacklog
from previewops.server_versions import ServerVersion
from previewops.snapshot.fleet import SupervisedWorker, SupervisorState, SupervisorStatus, WorkerCountRange
from previewops.snapshot.model import StoreReport, ThemesReport, WorkerState
from previewops.stores.port import StoreVerdict

GB = 1_000_000_000
NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
FULL = ("Landlock 6", "seccomp", "resource limits")


def store(store_id: str = "a", problem: str = "", age_ms: int = 0) -> StoreReport:
    """A report of the store ``store_id``, which has had this result for ``age_ms``."""
    return StoreReport(store_id * 32, "/data/previews", problem, NOW_MS - age_ms, NOW_MS)


def worker(host: str = "h1", **changes: Any) -> WorkerState:
    """A worker that started an hour ago."""
    made = WorkerState(
        worker_id=f"{host}-1", host=host, pid=1, state="working", job_slots=2, busy=1, rss_bytes=1,
        heartbeat_ms=NOW_MS, started_ms=NOW_MS - 60 * MINUTE_MS, completed=0, failed=0, version="0.1.0", jobs=(),
        confined_by=FULL, clock_ahead_ms=3, store=store(), themes=ThemesReport(2, "a", 0, ()),
    )  # fmt: skip
    return replace(made, **changes)


WELL = HealthInputs(
    waiting=3,
    delayed=1,
    active=2,
    dead=0,
    oldest_waiting_ms=1_500,
    paused=False,
    paused_by="",
    unaccounted=0,
    worker_ages_ms=(200, 900),
    heartbeat_ms=1_000,
    eviction_policy="noeviction",
    persistent=True,
    recent=RecentOutcomes(completed=40, died=1, removed=0),
    supervisors=(),
    run_ages_ms={"a": 149_999},
    deadline_ms=120_000,
    workers=(worker("h1"), worker("h2")),
    now_ms=NOW_MS,
    disk_free_bytes=400 * GB,
    disk_bytes=1_000 * GB,
    redis_ms=0.4,
    queue_max=20,
    clock_ahead_ms=-40,
    store=StoreVerdict("s3://bucket"),
    store_id="a" * 32,
    redis_version=ServerVersion("Redis", (8, 8, 2)),
    webhooks=WebhookBacklog(0, 2, 899_999),
)
UNKNOWN = {"recent": None, "run_ages_ms": None, "disk_free_bytes": None, "disk_bytes": None, "redis_ms": None,
    "queue_max": None, "workers": (), "clock_ahead_ms": None, "redis_version": None, "store": None,
    "webhooks": None,
}  # fmt: skip


def supervisor(
    *phases: str, silent: bool = False, notice: str = "", rapid_exits: int = 0, reason: str = ""
) -> SupervisorStatus:
    """Builds a supervisor with one worker in each of ``phases``."""
    workers = tuple(
        SupervisedWorker(f"w{n}", n, phase, 7, rapid_exits, reason) for n, phase in enumerate(phases, 1)
    )
    state = SupervisorState(
        host="h", pid=7, version="1", backend="process", state="running", count=1,
        worker_range=WorkerCountRange(1, 1), rss_bytes=1, started_ms=1, notice=notice, workers=workers,
    )  # fmt: skip
    return SupervisorStatus("s1", 1, silent, state)


TROUBLED = replace(
    WELL,
    dead=200,
    oldest_waiting_ms=400_000,
    paused=True,
    unaccounted=1,
    worker_ages_ms=(),
    eviction_policy="allkeys-lru",
    persistent=False,
    lost_at="2026-01-02T03:04:05.000Z",
    unreadable=UnreadableKeys(2, ("q:job:a", "q:worker:w")),
    stock_worker_at="2026-01-02T03:04:05.000Z",
    bullmq_key="bull:preview-jobs:wait",
    recent=RecentOutcomes(10, 100, 0),
    supervisors=(supervisor("fatal"),),
    run_ages_ms={"a": 150_900},
    workers=(
        worker(
            "h1",
            confined_by=("resource limits",),
            store=store("a", "EIO"),
            themes=ThemesReport(1, "c", 0, ()),
        ),
        worker("h2", version="2", clock_ahead_ms=-61_000, store=store("b", "EIO")),
    ),
    disk_free_bytes=1,
    redis_ms=900.0,
    queue_max=4,
    store=StoreVerdict("s3://bucket", "connection refused"),
    redis_version=ServerVersion("Redis", (6, 2, 14)),
    webhooks=WebhookBacklog(1, 1, 900_000),
)


def test_healthy_queue() -> None:
    health = evaluate(WELL, Thresholds())
    assert health.status is Status.OK
    assert {check.status for check in health.checks} == {Status.OK}
    assert health.first_line().startswith(
        "PREVIEWOPS OK - 2 workers, 4 jobs pending, 2 active | waiting=3;;;0; "
    )


@pytest.mark.parametrize(
    ("change", "status", "name"),
    [
        ({"worker_ages_ms": ()}, Status.CRITICAL, "workers"),
        ({"worker_ages_ms": (3_001, 9_000)}, Status.CRITICAL, "workers"),
        ({"worker_ages_ms": (3_000, 3_001)}, Status.WARNING, "workers"),
        ({"worker_ages_ms": (3_000,)}, Status.OK, "workers"),
        ({"eviction_policy": "allkeys-lru"}, Status.WARNING, "eviction"),
        ({"persistent": False}, Status.WARNING, "persistence"),
        ({"oldest_waiting_ms": 59_999}, Status.OK, "oldest-waiting"),
        ({"oldest_waiting_ms": 60_000}, Status.WARNING, "oldest-waiting"),
        ({"oldest_waiting_ms": 300_000}, Status.CRITICAL, "oldest-waiting"),
        ({"dead": 1}, Status.WARNING, "dead-letters"),
        ({"dead": 99}, Status.WARNING, "dead-letters"),
        ({"dead": 100}, Status.CRITICAL, "dead-letters"),
        ({"paused": True, "paused_by": "alice@host"}, Status.WARNING, "paused"),
        ({"unaccounted": 1}, Status.CRITICAL, "accounting"),
        ({"unaccounted": -1}, Status.OK, "accounting"),
        ({"lost_at": "2026-01-02T03:04:05.000Z"}, Status.CRITICAL, "data-loss"),
        ({"stock_worker_at": "2026-01-02T03:04:05.000Z"}, Status.CRITICAL, "arq-workers"),
        ({"bullmq_key": "bull:preview-jobs:wait"}, Status.WARNING, "bullmq"),
        ({"rejected_commands": {"eviction": "INFO"}, "eviction_policy": None}, Status.UNKNOWN, "eviction"),
        ({"recent": RecentOutcomes(95, 4, 0)}, Status.OK, "failure-rate"),
        ({"recent": RecentOutcomes(95, 5, 0)}, Status.WARNING, "failure-rate"),
        ({"recent": RecentOutcomes(6, 2, 0)}, Status.CRITICAL, "failure-rate"),
        ({"recent": RecentOutcomes(0, 4, 0)}, Status.OK, "failure-rate"),
        ({"recent": RecentOutcomes(0, 0, 0)}, Status.OK, "failure-rate"),
        ({"recent": RecentOutcomes(9_999, 9, 0)}, Status.OK, "dead-growth"),
        ({"recent": RecentOutcomes(9_999, 10, 0)}, Status.WARNING, "dead-growth"),
        ({"recent": RecentOutcomes(9_999, 99, 90)}, Status.OK, "dead-growth"),
        ({"recent": RecentOutcomes(9_999, 100, 0)}, Status.CRITICAL, "dead-growth"),
        ({"recent": RecentOutcomes(9_999, 0, 50)}, Status.OK, "dead-growth"),
        ({"run_ages_ms": {"a": 150_000, "b": 1}}, Status.OK, "stuck-jobs"),
        ({"run_ages_ms": {"a": 150_001, "b": 1}}, Status.WARNING, "stuck-jobs"),
        ({"supervisors": (supervisor("running", "backoff"),)}, Status.OK, "supervisors"),
        ({"supervisors": (supervisor("running", "exited"),)}, Status.OK, "supervisors"),
        ({"supervisors": (supervisor("running", "fatal"),)}, Status.CRITICAL, "supervisors"),
        ({"supervisors": (supervisor("backoff", rapid_exits=4),)}, Status.OK, "supervisors"),
        ({"supervisors": (supervisor("backoff", rapid_exits=5),)}, Status.CRITICAL, "supervisors"),
        ({"supervisors": (supervisor("running", rapid_exits=5),)}, Status.CRITICAL, "supervisors"),
        ({"supervisors": (supervisor(silent=True),)}, Status.WARNING, "supervisors"),
        ({"supervisors": (supervisor(notice="no room"),)}, Status.WARNING, "supervisors"),
        ({"redis_version": ServerVersion("Redis", (6, 2, 14))}, Status.WARNING, "redis-version"),
        (
            {"redis_version": ServerVersion("Redis", (6, 2, 14)), "redis_is_private": True},
            Status.OK,
            "redis-version",
        ),
        ({"redis_version": ServerVersion("Redis", (7, 0, 15))}, Status.OK, "redis-version"),
        ({"redis_ms": 49.9}, Status.OK, "redis"),
        ({"redis_ms": 50.0}, Status.WARNING, "redis"),
        ({"redis_ms": 500.0}, Status.CRITICAL, "redis"),
        ({"webhooks": WebhookBacklog(1, 0, 0)}, Status.WARNING, "webhooks"),
        ({"webhooks": WebhookBacklog(10_000, 0, 0)}, Status.CRITICAL, "webhooks"),
        ({"webhooks": WebhookBacklog(0, 1, 900_000)}, Status.WARNING, "webhooks"),
        ({"webhooks": WebhookBacklog(0, 1, 86_400_000)}, Status.CRITICAL, "webhooks"),
        ({"queue_max": 6}, Status.OK, "depth"),
        ({"queue_max": 5}, Status.WARNING, "depth"),
        ({"queue_max": 4}, Status.CRITICAL, "depth"),
        ({"run_ages_ms": dict.fromkeys("abcdefghi", 150_001)}, Status.WARNING, "stuck-jobs"),
        ({"run_ages_ms": dict.fromkeys("abcdefghij", 150_001)}, Status.CRITICAL, "stuck-jobs"),
        ({"workers": (worker(confined_by=FULL[1:]),)}, Status.WARNING, "confinement"),
        ({"workers": (worker(confined_by=FULL[:1]),)}, Status.WARNING, "confinement"),
        ({"workers": (worker(clock_ahead_ms=4_999),)}, Status.OK, "clocks"),
        ({"workers": (worker(clock_ahead_ms=-5_000),)}, Status.WARNING, "clocks"),
        ({"clock_ahead_ms": 60_000}, Status.CRITICAL, "clocks"),
        ({"store_id": "b" * 32}, Status.WARNING, "shared-store"),
        ({"store_id": None}, Status.OK, "shared-store"),
        ({"workers": (worker(store=store("")),)}, Status.OK, "host-stores"),
        ({"workers": (worker(themes=ThemesReport(2, "a", 1, ("x.toml: ink",))),)}, Status.WARNING, "themes"),
        ({"workers": (worker(), worker("h2", themes=ThemesReport(1, "b", 0, ())))}, Status.WARNING, "themes"),
        ({"workers": (worker(), worker("h2", themes=None))}, Status.OK, "themes"),
        ({"disk_free_bytes": 100 * GB}, Status.OK, "disk"),
        ({"disk_free_bytes": 99 * GB}, Status.WARNING, "disk"),
        ({"disk_free_bytes": 29 * GB}, Status.CRITICAL, "disk"),
        ({"disk_free_bytes": 199_000_000, "disk_bytes": GB}, Status.CRITICAL, "disk"),
    ],
)
def test_each_rule(change: dict[str, Any], status: Status, name: str) -> None:
    health = evaluate(replace(WELL, **change), Thresholds())
    assert health.status is status
    assert {check.name: check.status for check in health.checks}[name] is status
    assert sum(check.status is not Status.OK for check in health.checks) == (status is not Status.OK)


def test_a_drain_is_shown_with_its_reason() -> None:
    drained = supervisor("exited", reason="drained by alice: moving storage")
    health = evaluate(replace(WELL, worker_ages_ms=(), supervisors=(drained,)), Thresholds())
    checks = {check.name: check for check in health.checks}
    assert checks["supervisors"].message.endswith(
        "drained by an operator: w1 (drained by alice: moving storage)"
    )
    assert "previewops reset" in str(checks["workers"].advice)


def test_checks_without_inputs_are_skipped() -> None:
    health = evaluate(replace(WELL, eviction_policy=None, persistent=None, **UNKNOWN), Thresholds())
    assert health.status is Status.OK
    unlearnt = {
        "eviction", "persistence", "failure-rate", "dead-growth", "stuck-jobs", "disk",
        "depth", "webhooks", "confinement", "clocks", "shared-store", "host-stores", "themes",
    }  # fmt: skip
    assert unlearnt.isdisjoint(check.name for check in health.checks)


def test_all_checks_are_listed_in_their_order() -> None:
    # The check of BullMQ exists only where there is such a queue.
    always = tuple(name for name in CHECKS if name != "bullmq")
    assert tuple(check.name for check in evaluate(WELL, Thresholds()).checks) == always


def test_large_figures_and_long_waits_are_readable() -> None:
    busy = replace(
        WELL,
        waiting=12_000,
        delayed=0,
        queue_max=100_000,
        oldest_waiting_ms=412_000,
        recent=RecentOutcomes(completed=3_000, died=1_500, removed=0),
    )
    messages = {check.name: check.message for check in evaluate(busy, Thresholds()).checks}
    assert messages["depth"] == "12,000 jobs are pending, allowed 100,000"
    assert messages["oldest-waiting"] == "a job has waited 6 min 52 s"
    assert messages["failure-rate"].startswith("1,500 of 4,500 ")
    assert messages["dead-growth"].startswith("1,500 more ")


def test_a_long_wait_in_a_paused_queue_asks_for_no_workers() -> None:
    for paused, advised in ((False, "add workers"), (True, "resume")):
        checks = evaluate(replace(WELL, oldest_waiting_ms=412_000, paused=paused), Thresholds()).checks
        (check,) = (check for check in checks if check.name == "oldest-waiting")
        assert advised in check.advice


def test_webhooks_that_failed_and_wait_are_counted() -> None:
    def check(*backlog: int) -> Check | None:
        health = evaluate(replace(WELL, webhooks=WebhookBacklog(*backlog)), Thresholds())
        return next((check for check in health.checks if check.name == "webhooks"), None)

    assert check(0, 0, 0) is None
    failed, late = check(3, 1, 2_000), check(0, 40, 7_200_000)
    assert failed is not None
    assert failed.message == "3 webhooks failed for good; 1 webhook to be sent, the oldest for 2.0 s"
    assert (failed.figure, "webhooks resend" in failed.advice) == ("3 failed", True)
    assert late is not None
    assert late.message == "40 webhooks to be sent, the oldest for 2 h 0 min"
    assert (late.figure, "--waiting" in late.advice) == ("40 waiting", True)


def test_fewer_workers_than_required() -> None:
    def status(**moved: int) -> Status:
        return evaluate(WELL, Thresholds(**moved)).checks[0].status

    assert status(workers_warning=2) is Status.OK
    assert status(workers_warning=3) is Status.WARNING
    assert status(workers_warning=3, workers_critical=3) is Status.CRITICAL


def find_check(name: str, workers: tuple[WorkerState, ...], **thresholds: Any) -> Check:
    """The check ``name`` of a queue that is healthy but for its workers."""
    health = evaluate(replace(WELL, workers=workers), Thresholds(**thresholds))
    return next(check for check in health.checks if check.name == name)


def test_less_confinement_can_be_accepted() -> None:
    half = {"a": FULL[1:], "b": FULL[2:], "c": FULL}
    workers = tuple(worker(host, confined_by=layers) for host, layers in half.items())

    def confinement_check(least: Confinement) -> Check:
        return find_check("confinement", workers, confinement=least)

    assert confinement_check(Confinement.FULL).message == "a-1 and 1 more render without Landlock"
    reason = "Landlock: denied by a system call filter of the service or container"
    missing = (reason, "own user: not this one")
    workers = (replace(workers[0], confinement_missing=missing), *workers[1:])
    assert confinement_check(Confinement.FULL).message == f"a-1 and 1 more render without Landlock ({reason})"
    assert confinement_check(Confinement.FULL).figure == "2 of 3 lack it"
    assert confinement_check(Confinement.SECCOMP).message == "b-1 render without seccomp"
    assert confinement_check(Confinement.LIMITS).message == "render processes are confined by resource limits"


def test_confinement_that_differs_between_hosts_is_a_warning() -> None:
    layers = (*FULL, "own user")
    workers = (worker("a", confined_by=("Landlock 4", *layers[1:])), worker("b", confined_by=layers))
    assert find_check("confinement", workers).status is Status.OK, "versions of Landlock may differ"
    workers += (worker("c", confined_by=FULL, confinement_missing=("own user: not root",)),)
    check = find_check("confinement", workers)
    assert check.status is Status.WARNING
    assert check.message == "confinement differs: c without own user (own user: not root)"
    assert find_check("confinement", workers, confinement=Confinement.LIMITS).status is Status.OK


def test_versions_may_differ_during_a_rollout() -> None:
    def check(age_ms: int, **changes: Any) -> Check:
        newer = [worker(f"n{age}", version="0.2.0", started_ms=NOW_MS - age) for age in (age_ms, 5)]
        newest = replace(newer[0], **changes)
        return find_check("versions", (worker("h1"), worker("h2"), newest, newer[1]))

    rolling = check(30 * MINUTE_MS - 10)
    assert (rolling.status, rolling.figure) == (Status.OK, "0.1.0, 0.2.0")
    late = check(30 * MINUTE_MS)
    assert late.status is Status.WARNING
    assert late.message == (
        "workers run different versions, the newest for 30 min 0 s: 0.1.0 on h1, h2; 0.2.0 on n1800000, n5"
    )
    assert check(30 * MINUTE_MS, clock_ahead_ms=-60_000).status is Status.OK, "its clock is behind"
    builds = tuple(worker(f"h{build}", build=build) for build in "ab")
    assert find_check("versions", builds).message.endswith(": 0.1.0+a on ha; 0.1.0+b on hb")


def test_a_store_that_hosts_do_not_share_is_named_with_its_hosts() -> None:
    workers = (worker("h1"), worker("h2"), worker("h3", store=store("b")), worker("old", store=None))
    check = find_check("shared-store", workers)
    assert (check.status, check.figure) == (Status.WARNING, "2 stores")
    assert check.message == (
        "workers publish to 2 different stores: "
        "h1, h2 to /data/previews (aaaaaa); h3 to /data/previews (bbbbbb)"
    )
    assert "PREVIEW_STORE" in check.advice
    many = (*workers, *(worker(f"m{n}", store=store("b")) for n in range(5)))
    assert "h3, m0, m1, m2 and 2 more to" in find_check("shared-store", many).message


def test_a_reader_of_another_store_is_named() -> None:
    check = next(
        check
        for check in evaluate(replace(WELL, store_id="c" * 32), Thresholds()).checks
        if check.name == "shared-store"
    )
    assert check.message == (
        "this process reads the store cccccc, workers publish to /data/previews (aaaaaa)"
    )


def test_a_host_whose_store_fails_alone_is_a_warning_and_all_hosts_are_critical() -> None:
    failing = worker("h3", store=store("a", "No space left on device", 90_000))
    check = find_check("host-stores", (worker("h1"), worker("h1"), worker("h2"), failing))
    assert (check.status, check.figure) == (Status.WARNING, "2 of 3 hosts")
    assert check.message == "workers of h3 cannot publish for 1 min 30 s: No space left on device"
    assert "drain --host h3" in check.advice
    check = find_check("host-stores", (failing, worker("h4", store=store("a", "503", 5_000))))
    assert (check.status, check.figure) == (Status.CRITICAL, "0 of 2 hosts")
    assert check.message.endswith(": No space left on device; 1 more")
    assert "drain" not in check.advice


def test_thresholds_come_from_the_environment() -> None:
    assert parse_thresholds({}) == Thresholds()
    for bound in THRESHOLD_OPTIONS:
        for kind in LEVELS:
            assert bound.parse(kind, bound.default(kind)) == pytest.approx(
                getattr(Thresholds(), bound.field(kind))
            )
    thresholds = parse_thresholds(
        {
            "PREVIEW_HEALTH_OLDEST_WARNING": "1.5",
            "PREVIEW_HEALTH_DEPTH_CRITICAL": "90",
            "PREVIEW_HEALTH_DEAD_WARNING": "",
            "PREVIEW_HEALTH_CONFINEMENT": "limits",
        }
    )
    assert thresholds == Thresholds(
        oldest_warning_ms=1_500, depth_critical=0.9, confinement=Confinement.LIMITS
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("DEAD_WARNING", "0", "allowed a whole number of 1 or more"),
        ("DEAD_WARNING", "1.5", "allowed a whole number of 1 or more"),
        ("DEAD_WARNING", "inf", "allowed a whole number of 1 or more"),
        ("OLDEST_CRITICAL", "nan", "allowed a number of 0.001 or more"),
        ("DISK_WARNING", "101", "allowed a number of 0 or more, at most 100"),
        ("CONFINEMENT", "some", "allowed one of full, seccomp, limits"),
        ("DEAD_CRITICAL", "1", None),
        ("OLDEST_CRITICAL", "59", "--oldest-critical is below --oldest-warning"),
        ("DISK_CRITICAL", "11", "--disk-critical is above --disk-warning"),
    ],
)
def test_invalid_thresholds_are_rejected(name: str, value: str, message: str | None) -> None:
    if message is None:
        parse_thresholds({f"PREVIEW_HEALTH_{name}": value})
        return
    with pytest.raises(UsageError, match=re.escape(message)):
        parse_thresholds({f"PREVIEW_HEALTH_{name}": value})


def test_thresholds_are_configurable() -> None:
    inputs = replace(WELL, dead=5)
    assert evaluate(inputs, Thresholds(dead_warning=6)).status is Status.OK
    assert evaluate(inputs, Thresholds(dead_warning=2, dead_critical=5)).status is Status.CRITICAL


def test_each_check_has_a_figure_and_failed_checks_have_advice() -> None:
    for inputs in (WELL, TROUBLED):
        for check in evaluate(inputs, Thresholds()).checks:
            assert check.figure, check.name
            assert "\n" not in check.figure + check.advice
            assert bool(check.advice) is (check.status is not Status.OK), check.name
    assert all(check.status is not Status.OK for check in evaluate(TROUBLED, Thresholds()).checks)
    checks = {check.name: check.as_json() for check in evaluate(TROUBLED, Thresholds()).checks}
    assert (checks["eviction"]["figure"], checks["oldest-waiting"]["figure"]) == ("allkeys-lru", "400 s")
    assert (
        checks["supervisors"]["advice"]
        == "`previewops workers` shows why; fix the cause, then `previewops reset`"
    )
    assert checks["stuck-jobs"]["message"] == "1 job past the deadline, a for 151 s"
    assert checks["failure-rate"]["figure"] == "91%"


def test_supervisor_problems_are_in_the_message() -> None:
    inputs = replace(WELL, supervisors=(supervisor("fatal", notice="no room"), supervisor(silent=True)))
    message = evaluate(inputs, Thresholds()).first_line()
    assert "silent: s1; given up: w1; s1: no room" in message


def test_the_first_line_is_one_line() -> None:
    inputs = replace(WELL, supervisors=(supervisor("running", notice="two\nlines | \x1b[2J"),))
    line = evaluate(inputs, Thresholds()).first_line()
    assert (line.isprintable(), line.count("|")) == (True, 1)


def test_first_line_starts_with_the_worst_check() -> None:
    line = evaluate(replace(WELL, paused=True, dead=200), Thresholds()).first_line()
    assert line.startswith("PREVIEWOPS CRITICAL - 200 dead letters; the queue is paused | ")


def test_critical_beats_unknown_beats_warning() -> None:
    checks = [Check(status.name, status, "m") for status in Status]
    assert Health(tuple(checks)).status is Status.CRITICAL
    assert (
        Health(tuple(check for check in checks if check.status is not Status.CRITICAL)).status
        is Status.UNKNOWN
    )


def test_performance_data_follow_the_guidelines() -> None:
    line = evaluate(replace(WELL, oldest_waiting_ms=75_250, dead=7), Thresholds()).first_line()
    data = line.partition(" | ")[2].split(" ")
    number = r"-?[0-9.]+"
    for item in data:
        assert re.fullmatch(rf"[a-z_]+={number}(s|B|%|)?;({number}:?)?;({number}:?)?;0;", item), item
    assert "oldest_waiting=75.25s;60;300;0;" in data
    assert "dead=7;0;99;0;" in data


def test_large_values_have_no_exponent() -> None:
    assert " waiting=1234567;" in evaluate(replace(WELL, waiting=1_234_567), Thresholds()).first_line()


def test_pause_check_names_operator_and_reason() -> None:
    paused = replace(WELL, paused=True, paused_by="root@host7", pause_reason="deploying")
    assert "paused by root@host7: deploying" in evaluate(paused, Thresholds()).first_line()


def test_bars_in_messages_are_replaced() -> None:
    line = evaluate(replace(WELL, paused=True, paused_by="a|b"), Thresholds()).first_line()
    assert line.count("|") == 1


def test_unreachable_and_unknown_health() -> None:
    assert unreachable_health("gone").first_line() == "PREVIEWOPS CRITICAL - gone"
    assert unknown_health("what?").first_line() == "PREVIEWOPS UNKNOWN - what?"
    assert unknown_health("what?").as_json()["exitCode"] == 3


def test_stored_data_names_the_first_unreadable_key() -> None:
    health = evaluate(replace(WELL, unreadable=UnreadableKeys(3, ("q:job:a",))), Thresholds())
    check = next(check for check in health.checks if check.name == "stored-data")
    assert (check.status, check.figure) == (Status.WARNING, "3")
    assert check.message == "3 stored keys cannot be read, first q:job:a"
    assert "previewops doctor" in check.advice
    assert health.status is Status.WARNING


def test_a_damaged_key_that_all_jobs_need_is_critical() -> None:
    damaged = replace(WELL, unreadable=UnreadableKeys(1, ("q:meta",)), blocked_by=("q:meta",))
    check = next(check for check in evaluate(damaged, Thresholds()).checks if check.name == "stored-data")
    assert (check.status, "q:meta" in check.message) == (Status.CRITICAL, True)


def test_keys_that_were_moved_aside_are_a_warning_until_doctor_repairs() -> None:
    checks = evaluate(replace(WELL, quarantined=2), Thresholds()).checks
    check = next(check for check in checks if check.name == "stored-data")
    assert (check.status, check.message) == (Status.WARNING, "2 damaged keys moved aside")
