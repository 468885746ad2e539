"""Damaged and foreign keys: what each view shows, what workers do, and what doctor repairs."""

from __future__ import annotations

import asyncio
import json
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import structlog
from redis.exceptions import ResponseError

from previewops.client import Client
from previewops.doctor.data_diagnosis import META_LARGE_NUMBERS, META_NUMBERS
from previewops.doctor.doctor import Doctor
from previewops.doctor.rename import QueueInUse, rename_queue
from previewops.errors import (
    EXIT_DAMAGED,
    EXIT_TRY_AGAIN,
    ForeignKey,
    LayoutUnsupported,
    RecordUnreadable,
    WrongState,
)
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.filter_query import parse_filter
from previewops.queue.keys import ARQ_GUARD, ARQ_GUARD_SCORE, Keys
from previewops.queue.listing import JobList
from previewops.queue.queue import Receipt
from previewops.queue.scripts import ScriptName, Scripts
from previewops.queue.start_check import check_queue
from previewops.redis_server.connection import redis_errors
from previewops.settings import Settings
from previewops.states import LAYOUT, JobState
from previewops.supervisor.commands import LOG_TTL_MS, CommandChannel
from previewops.supervisor.host import HostMetrics
from previewops.supervisor.redis_poller import RedisPoller
from tests.api_support import JOBS, serve_api
from tests.integration.cli_program import Program
from tests.integration.worker_support import (
    JobLog,
    make_settings,
    make_worker,
    poll_until,
    running_worker,
    wait_for_end,
)
from tests.queue_support import (
    QUEUE,
    QueueFixture,
    add_dead_letters,
    completed_job,
    payload,
    queue_fixture,
    wait_until_ended,
)

pytestmark = pytest.mark.redis

FOREIGN = ("", ":meta", ":active", ":waiting:normal")
AUXILIARY = (":events", ":totals", ":wake", ":completed", ":workers", ":dead-causes")


async def render_preview(ctx: dict[Any, Any], body: Any) -> dict[str, bool]:
    return {"ok": True}


# ---------------------------------------------------------------- one bad row


async def test_a_dead_letter_without_record_hides_no_other(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["d1", "d2", "d3"])
        await b.redis.delete("preview-jobs:job:d2")
        page = await b.dead.page(DeadLetterFilter())
        assert {record.job_id for record in page.rows} == {"d1", "d3"}
        assert (page.unreadable.count, page.unreadable.keys) == (1, ("preview-jobs:job:d2",))
        assert (await b.snapshots.read(check_records=True)).unreadable.keys == ("preview-jobs:job:d2",)
        listed = await b.list.page(state=JobState.DEAD, query=DeadLetterFilter().query)
        assert (len(listed.rows), listed.unreadable.count) == (2, 1)


@pytest.mark.parametrize("field", ["accepted", "attempts", "crashes", "finished", "priority", "requeues"])
async def test_a_damaged_field_hides_no_row(redis_url: str, field: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["d1", "d2"])
        await b.redis.hset("preview-jobs:job:d2", field, "\x00many")
        page = await b.dead.page(DeadLetterFilter())
        assert {record.job_id for record in page.rows} == {"d1", "d2"}
        assert page.unreadable.keys == ("preview-jobs:job:d2",)
        assert (await b.queue.status("d2")).as_json()["status"] == "dead"


async def test_a_record_without_state_has_an_error_of_its_own(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.redis.hset("preview-jobs:job:a", "state", "flying")
        with pytest.raises(
            RecordUnreadable, match="found the state 'flying' at preview-jobs:job:a"
        ) as caught:
            await b.queue.status("a")
        assert caught.value.exit_code == EXIT_DAMAGED


def test_commands_show_the_rest_and_name_the_key(redis_url: str, tmp_path: Path) -> None:
    async def damage() -> None:
        async with queue_fixture(redis_url) as b:
            await add_dead_letters(b, ["d1", "d2"])
            await b.worker("w9").heartbeat("{}", [])
            await b.redis.delete("preview-jobs:job:d2")
            await b.redis.hset("preview-jobs:worker:w9", "info", "")
            await b.redis.hset("preview-jobs:meta", "completed", "many")

    asyncio.run(damage())
    program = Program(tmp_path, redis_url)
    done = program.run("dlq", "list")
    assert (done.code, "d1" in done.out) == (0, True)
    assert "1 stored key cannot be read, first preview-jobs:job:d2; run `previewops doctor`" in done.err
    assert program.run("dlq", "list", "--json").json["unreadable"]["keys"] == ["preview-jobs:job:d2"]
    for command in (("stats",), ("workers",)):
        done = program.run(*command)
        assert (done.code, "preview-jobs:worker:w9" in done.err) == (0, True) or "2 stored keys" in done.err
    done = program.run("metrics")
    assert (done.code, 'preview_queue_unreadable{queue="preview-jobs"} 3.0' in done.out) == (0, True)
    done = program.run("health")
    assert "3 stored keys cannot be read" in done.out
    assert program.run("doctor").code == EXIT_DAMAGED
    done = program.run("doctor", "--repair")
    assert (done.code, "repaired" in done.out) == (0, True)
    assert program.run("doctor", "--json").json["damaged"] is False
    restored = program.run("dlq", "show", "d2", "--json").json
    assert (restored["errorCode"], restored["payload"]["jobId"]) == ("record-damaged", "d2")


# ---------------------------------------------------------------- damaged fields

NO_NUMBERS = {"paused_by", "paused_why", "message", "hash", "field"}


def meta_fields() -> set[str]:
    """The numbers of the meta hash that scripts read or write by name."""
    folder = files("previewops.queue.lua")
    texts = [
        path.read_text("utf-8")
        for part in (folder, folder.joinpath("include"))
        for path in part.iterdir()
        if path.name.endswith(".lua")
    ]
    lists = re.findall(r"K_META((?:, '[a-z_]+')+)", "\n".join(texts))
    return {name for names in lists for name in re.findall(r"'([a-z_]+)'", names)} - NO_NUMBERS


async def test_no_damaged_field_of_the_queue_stops_jobs(redis_url: str) -> None:
    fields = meta_fields()
    assert {"stock_enqueue", "sequence", "upkept"} <= fields
    async with queue_fixture(redis_url) as b:
        worker = b.worker()
        for field in sorted(fields - {"paused"}):
            await b.redis.hset("preview-jobs:meta", field, "garbage")
            await b.queue.submit(payload(field))
            (claim,) = (await worker.claim(1)).claims
            await worker.heartbeat("{}", [])
            await worker.maintain()
            await worker.finish([completed_job(claim)], 0)
            assert await b.state(field) == "completed", field


@pytest.mark.parametrize("state", ["flying", b"\xff"])
async def test_a_damaged_record_hides_no_other_job_of_a_batch(redis_url: str, state: str | bytes) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.redis.hset("preview-jobs:job:a", "state", state)
        first, second = await b.queue.submit_many([payload("a"), payload("b")])
        assert isinstance(first, RecordUnreadable)
        assert isinstance(second, Receipt)
        with pytest.raises(RecordUnreadable):
            await b.queue.submit(payload("a"))
        with pytest.raises(WrongState):
            await b.queue.cancel("a", who="ann")


async def test_an_unknown_message_ends_no_wait(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        waiting = asyncio.create_task(wait_until_ended(b.queue, "a", poll_interval_s=30))
        # Redis does not report when a client subscribes.
        while not await b.redis.publish("preview-jobs:done:a", b"\xff"):  # noqa: ASYNC110
            await asyncio.sleep(0)
        await b.redis.publish("preview-jobs:done:a", b"flying")
        await b.worker().finish([completed_job(await b.claim_one())], 0)
        assert await waiting is JobState.COMPLETED


async def test_doctor_checks_every_field_of_the_queue(redis_url: str) -> None:
    assert meta_fields() <= {*META_NUMBERS, *META_LARGE_NUMBERS}
    async with queue_fixture(redis_url) as b:
        for field in sorted(
            meta_fields() - {"layout"}
        ):  # the next script that moves jobs corrects the layout
            await b.redis.hset("preview-jobs:meta", field, "garbage")
            found = [finding.found for finding in (await Doctor(b.redis, b.settings).examine()).findings]
            assert any(field in text for text in found), field
            assert (await Doctor(b.redis, b.settings).repair()).left == 0


async def test_doctor_checks_every_number_of_a_record(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await add_dead_letters(b, ["d"])
        await b.redis.hset("preview-jobs:job:d", "attempts_dropped", "many")
        assert [finding.key for finding in (await Doctor(b.redis, b.settings).examine()).findings] == [
            "preview-jobs:job:d"
        ]
        assert (await Doctor(b.redis, b.settings).repair()).left == 0
        assert await b.redis.hget("preview-jobs:job:d", "attempts_dropped") in (None, b"0")


async def test_a_crash_after_the_clock_was_set_back_is_a_readable_attempt(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.claim_one("lost")
        later = await b.now_ms() + 3_600_000
        await b.redis.hset("preview-jobs:job:a", "claimed", later)
        await b.worker().deregister_worker("lost", "killed", lost=True)
        (attempt,) = (await b.queue.status("a")).history
        assert attempt.duration_ms == 0
        entry = (await b.redis.execute_command("LRANGE", "preview-jobs:attempts:a", 0, -1))[0]
        assert json.loads(entry)["durationMs"] == 0


async def test_a_moved_guard_against_arq_is_put_back_and_is_no_job(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        await b.redis.zadd(QUEUE, {ARQ_GUARD: 9e15})
        await b.worker().maintain()
        assert await b.redis.zscore(QUEUE, ARQ_GUARD) == ARQ_GUARD_SCORE
        assert (await b.snapshots.read()).pending == 1


async def test_a_foreign_set_of_aborts_stops_no_job(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.set("arq:abort", "another program's")
        await b.queue.submit_many([payload("a"), payload("b")])
        await b.redis.zadd("preview-jobs", {"a": 1})  # as Job.abort of a stock client leaves it
        worker = b.worker()
        await worker.maintain()
        assert {claim.job_id for claim in (await worker.claim(5)).claims} == {"a", "b"}
        assert (await b.snapshots.read(check_records=True)).unreadable.keys == ("arq:abort",)
        assert [error.key for error in await check_queue(b.redis, b.settings)] == ["arq:abort"]
        report = await Doctor(b.redis, b.settings).repair()
        assert (report.left, [finding.key for finding in report.findings][:1]) == (0, ["arq:abort"])
        assert not await b.redis.exists("arq:abort")


async def test_a_key_with_a_line_break_is_shown_on_one_line(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.zadd("preview-jobs:dead", {"bad\nid": 5})
        unreadable = (await b.snapshots.read(check_records=True)).unreadable
        assert str(unreadable) == (
            "1 stored key cannot be read, first preview-jobs:job:bad\\u000aid; run `previewops doctor`"
        )
        assert unreadable.as_json()["keys"] == ["preview-jobs:job:bad\nid"]


# ---------------------------------------------------------------- foreign keys


@pytest.mark.parametrize("suffix", FOREIGN)
async def test_a_worker_names_a_foreign_key_at_start(redis_url: str, suffix: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.rpush(QUEUE + suffix, "another program's")
        worker = make_worker(redis_url, make_settings(b), render_preview)
        try:
            with pytest.raises(ForeignKey, match=f"key {QUEUE}{suffix}: found a list, allowed a ") as caught:
                await worker.main()
        finally:
            await worker.close()
        assert "previewops doctor" in (caught.value.hint or "")
        assert await b.redis.type(QUEUE + suffix) == b"list"


@pytest.mark.parametrize("suffix", FOREIGN)
async def test_a_foreign_key_stops_no_running_worker(redis_url: str, suffix: str) -> None:
    async with queue_fixture(redis_url) as b:
        settings = make_settings(b)
        with structlog.testing.capture_logs() as logs:
            async with running_worker(make_worker(redis_url, settings, render_preview)) as living:
                await b.queue.submit(payload("first"))
                await wait_for_end(b, "first")
                await b.redis.execute_command("COPY", QUEUE + suffix, "kept")
                await b.redis.set(QUEUE + suffix, "another program's")

                async def logged() -> bool:
                    await b.redis.ping()
                    return any(line["event"] == "queue.data-damaged" for line in logs)

                await poll_until(logged)
                assert not [line for line in logs if line["event"] == "queue.replaced"]
                assert QUEUE + suffix in next(x for x in logs if x["event"] == "queue.data-damaged")["error"]
                with pytest.raises(ForeignKey):
                    async with redis_errors(redis_url):
                        await b.queue.submit(payload("rejected"))
                assert (await Doctor(b.redis, b.settings).repair()).left == 0
                await b.queue.submit(payload("second"))
                assert (await wait_for_end(b, "second")).state is JobState.COMPLETED
                assert not living.done()


@pytest.mark.parametrize("suffix", AUXILIARY)
async def test_jobs_run_without_a_key_that_they_do_not_need(redis_url: str, suffix: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.set(QUEUE + suffix, "another program's")
        with structlog.testing.capture_logs() as logs:
            async with running_worker(make_worker(redis_url, make_settings(b), render_preview)) as living:
                await b.queue.submit(payload("a"))
                assert (await wait_for_end(b, "a")).state is JobState.COMPLETED
                assert not living.done()
        (warning,) = (line for line in logs if line["event"] == "queue.key-foreign")
        assert warning["key"] == QUEUE + suffix


@pytest.mark.parametrize("damaged", ["string", "no fields", "garbage"])
async def test_a_damaged_record_is_claimed_and_blocks_no_other(redis_url: str, damaged: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit_many([payload("a"), payload("b")])
        if damaged == "garbage":
            garbage = {"accepted": "x", "attempts": "many", "crashes": "-1", "order": "inf", "since": "nan"}
            await b.redis.hset("preview-jobs:job:a", mapping={**garbage, "priority": "top", "state": "?"})
        else:
            await b.redis.delete("preview-jobs:job:a")
        if damaged == "string":
            await b.redis.set("preview-jobs:job:a", "x")
        done = JobLog()
        worker = make_worker(redis_url, make_settings(b), render_preview, after_job_end=done.record)
        async with running_worker(worker):
            assert set(await done.wait_for(2)) == {"a", "b"}
        assert await b.state("a") == await b.state("b") == "completed"
        aside = [key async for key in b.redis.scan_iter("preview-jobs:quarantine:*")]
        assert len(aside) == (damaged == "string")
        assert (await b.snapshots.read()).unaccounted == 0


async def test_a_damaged_command_is_skipped(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.rpush("preview-jobs:orders:sup", b"\xff", "1", "2", "3")
        await b.redis.hset("preview-jobs:order:1", mapping={"act": "explode"})
        await b.redis.set("preview-jobs:order:2", "x")
        await b.redis.hset("preview-jobs:order:3", mapping={"state": "sent", "act": "drain", "who": "ann"})
        reply = await Scripts(b.redis, b.keys).run(ScriptName.SUPERVISOR_HEARTBEAT, "sup", "{}", 1000)
        assert [command for command, _ in reply[1]] == [b"1", b"3"]
        from tests.property.test_stored_data_fuzz import supervisor_state

        report = await CommandChannel(b.redis, b.settings, "sup").report(supervisor_state(), [])
        assert [command.command_id for command in report.commands] == ["3"]


async def test_the_lines_of_a_log_expire_soon_and_are_no_event(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        from tests.property.test_stored_data_fuzz import supervisor_state

        channel = CommandChannel(b.redis, b.settings, "sup")
        await channel.report(supervisor_state(), [])
        pairs = ("act", "log", "target", "w", "who", "ann", "why", "")
        send = ScriptName.SEND_COMMAND
        _, number = await Scripts(b.redis, b.keys).run(send, "sup", 15_000, 30_000, *pairs)
        (command,) = (await channel.report(supervisor_state(), [])).commands
        await channel.acknowledge(command, done=True, message="one\ntwo")
        key = f"{b.keys.command_prefix}{number.decode()}"
        assert await b.redis.hget(key, "message") == b"one\ntwo"  # type: ignore[misc]
        assert 0 < await b.redis.pttl(key) <= LOG_TTL_MS
        assert not await b.redis.exists(b.keys.events, b.keys.actions)


async def test_an_unknown_command_is_rejected(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.redis.rpush("preview-jobs:orders:sup", *map(str, range(150)))
        for number in range(150):
            await b.redis.hset(f"preview-jobs:order:{number}", mapping={"state": "sent", "act": "explode"})
        await b.redis.rpush("preview-jobs:orders:sup", "last")
        await b.redis.hset("preview-jobs:order:last", mapping={"state": "sent", "act": "drain"})
        from tests.property.test_stored_data_fuzz import supervisor_state

        channel = CommandChannel(b.redis, b.settings, "sup")
        assert (await channel.report(supervisor_state(), [])).commands == ()
        reply = await channel.report(supervisor_state(), [])
        assert [command.command_id for command in reply.commands] == ["last"]
        state, message = await b.redis.hmget("preview-jobs:order:0", "state", "message")  # type: ignore[misc]
        assert (state, message) == (b"refused", b"this version does not know it")


async def test_a_supervisor_does_not_know_workers_while_their_index_is_damaged(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        from tests.property.test_stored_data_fuzz import supervisor_state

        channel = CommandChannel(b.redis, b.settings, "sup")
        poller = RedisPoller(channel, HostMetrics(), job_slots=1)
        await b.worker("w").heartbeat("{}", [])
        assert set((await poller.poll(supervisor_state(), ["w", "new"], 1.0)).workers) == {"w", "new"}
        await b.redis.set("preview-jobs:workers", "another program's")
        assert (await poller.poll(supervisor_state(), ["w", "new"], 2.0)).workers == {}


# ---------------------------------------------------------------- layout


async def test_an_old_queue_gets_the_layout_with_its_first_change(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("old"))
        await b.redis.hdel("preview-jobs:meta", "layout")  # as a build before layouts leaves it
        assert (await b.queue.status("old")).state is JobState.WAITING
        assert await b.redis.hget("preview-jobs:meta", "layout") is None, "reading changes nothing"
        old_claim = await b.claim_one("new-worker")
        assert old_claim.job_id == "old"
        assert await b.redis.hget("preview-jobs:meta", "layout") == str(LAYOUT).encode()


async def test_a_newer_layout_is_rejected_everywhere(redis_url: str, tmp_path: Path) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        before = await b.dump()
        await b.redis.hset("preview-jobs:meta", "layout", LAYOUT + 1)
        newer = await b.dump()
        assert before != newer
        text = f"queue preview-jobs: found data of layout {LAYOUT + 1}, supported by this build is {LAYOUT}"
        worker = make_worker(redis_url, make_settings(b), render_preview)
        with pytest.raises(ResponseError, match="NEWERLAYOUT"):
            await worker.main()
        await worker.close()
        with pytest.raises(LayoutUnsupported, match=text):
            async with redis_errors(redis_url):
                await check_queue(b.redis, b.settings)
        with pytest.raises(LayoutUnsupported, match=text):
            await asyncio.to_thread(lambda: Client(redis_url, settings=b.settings).submit(payload("b").raw))
        async with serve_api(redis_url, tmp_path) as api:
            response = await api.client.get(f"{JOBS}/a/status")
            assert (response.status_code, text in response.text) == (503, True)
        program = Program(tmp_path, redis_url)
        for command in (("stats",), ("jobs",), ("worker", "--burst"), ("supervise",), ("api", "--port", "0")):
            done = await asyncio.to_thread(program.run, *command)
            assert (done.code, text in done.err) == (EXIT_TRY_AGAIN, True), (command, done.err)
        health = await asyncio.to_thread(program.run, "health")
        assert (health.code, text in health.out) == (2, True)
        assert await b.dump() == newer, "nothing was changed"


# ---------------------------------------------------------------- queue names


async def move(b: QueueFixture, old: str, new: str) -> int:
    return await rename_queue(b.redis, old, Settings(queue_name=new))


async def fill(b: QueueFixture, name: str, *job_ids: str) -> None:
    """Puts jobs into a queue under a name that settings reject, as an earlier version did."""
    scripts = Scripts(b.redis, Keys(name))
    args: list[str | int] = [100, "render_preview", 0, 0]
    for job_id in job_ids:
        args += [job_id, "normal", "p", f"digest-{job_id}", json.dumps({"jobId": job_id}), ""]
    await scripts.run(ScriptName.SUBMIT, *args)


async def test_a_queue_with_a_colon_moves_to_another_name(redis_url: str) -> None:
    async with (
        queue_fixture(redis_url, queue_name="shop") as shop,
        queue_fixture(redis_url, queue_name="shop-dead") as moved,
    ):
        await fill(shop, "shop:dead", "a", "b")
        await add_dead_letters(shop, ["d"])  # shares the key shop:dead
        assert await shop.redis.zcard("shop:dead") == 4, "with the guard of the queue shop:dead"
        assert await move(shop, "shop:dead", "shop-dead") > 3
        assert {record.job_id for record in await moved.list_all()} == {"a", "b"}
        assert (await Doctor(moved.redis, moved.settings).examine()).findings == []
        assert await shop.dead.count(DeadLetterFilter()) == 1
        assert (await Doctor(shop.redis, shop.settings).examine()).findings == []
        assert [claim.job_id for claim in (await moved.worker().claim(5)).claims] == ["a", "b"]
        with pytest.raises(QueueInUse, match="found no data"):
            await move(shop, "shop:dead", "other")


async def test_a_queue_in_use_is_not_moved(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await fill(b, "old:name", "a")
        await b.redis.zadd("old:name:workers", {"w": await b.now_ms()})
        with pytest.raises(QueueInUse, match="found 1 workers"):
            await move(b, "old:name", "new-name")
        await b.redis.delete("old:name:workers")
        await b.queue.submit(payload("x"))
        with pytest.raises(QueueInUse, match="queue preview-jobs: found data"):
            await move(b, "old:name", QUEUE)


async def test_a_healthy_job_is_readable_in_every_list(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        await b.queue.submit(payload("a"))
        listing = JobList(b.queue.redis, b.queue.settings)
        page = await listing.page(state=None, query=parse_filter(""))
        assert ([record.job_id for record in page.rows], page.unreadable.count) == (["a"], 0)
        assert page.rows[0].queued_ms == page.rows[0].accepted_ms
        claim = await b.claim_one()
        await b.worker().release([claim])
        page = await listing.page(state=None, query=parse_filter(""))
        assert page.unreadable.count == 0
