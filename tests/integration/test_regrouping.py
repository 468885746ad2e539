"""Dead letters of an earlier version move to the groups of today's fingerprints."""

from __future__ import annotations

import pytest

from previewops.queue import regrouping
from previewops.queue.dead_letter_filter import DeadLetterFilter
from previewops.queue.fingerprint import fingerprint, masked_fingerprint
from previewops.queue.leases import DeadLetterReason
from previewops.queue.retry import DeadLetterCause
from tests.queue_support import QueueFixture, queue_fixture

pytestmark = pytest.mark.redis

NAMES = ("a.png", "My Rome in Otto.png", "it's [new] (2).png", "Übersicht.png", "b c/d e.png")
ERROR = ("PermanentJobError", "asset-missing")


def earlier_reason(name: str) -> DeadLetterReason:
    message = f"asset a (demo/{name}): the file does not exist (searched demo/{name})"
    return DeadLetterReason(DeadLetterCause.PERMANENT, *ERROR, message, masked_fingerprint(*ERROR, message))


async def regroup_all(b: QueueFixture) -> int:
    """Steps of one worker until it has compared all letters."""
    work = regrouping.Regrouping(b.redis, b.keys, b.worker().scripts)
    moved = 0
    while not work.done:
        moved += await work.step()
    return moved


async def groups(b: QueueFixture) -> dict[str, int]:
    return {group.fingerprint: group.count for group in await b.dead.groups()}


async def test_letters_of_one_cause_come_together(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regrouping, "STEP_LETTERS", 3)
    async with queue_fixture(redis_url) as b:
        for place, name in enumerate(NAMES * 2):
            await b.add_dead_letter(f"j{place}", earlier_reason(name))
        assert len(await groups(b)) > 1, "as an earlier version grouped them"
        assert await regroup_all(b) == len(NAMES) * 2
        today = fingerprint(*ERROR, "")
        assert await groups(b) == {today: len(NAMES) * 2}
        assert await b.dead.count(DeadLetterFilter(fingerprint=today)) == len(NAMES) * 2
        assert await regroup_all(b) == 0
        await b.dead.requeue(DeadLetterFilter(fingerprint=today), who="ada", reason="")
        assert await groups(b) == {}


async def test_letters_that_an_earlier_worker_stores_later_are_found_by_the_next_worker(
    redis_url: str,
) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter("one", earlier_reason(NAMES[1]))
        assert await regroup_all(b) == 1
        await b.add_dead_letter("two", earlier_reason(NAMES[2]))
        assert await regroup_all(b) == 1
        assert await groups(b) == {fingerprint(*ERROR, ""): 2}


async def test_letters_of_this_version_keep_their_groups(redis_url: str) -> None:
    async with queue_fixture(redis_url) as b:
        codes = ("unknown-asset", "duplicate-id")
        for code in codes:
            reason = DeadLetterReason(
                DeadLetterCause.PERMANENT,
                "PermanentJobError",
                "invalid-payload",
                "invalid payload: /previewRequest/steps/0: x",
                fingerprint("PermanentJobError", "invalid-payload", code),
            )
            await b.add_dead_letter(code, reason)
        assert await regroup_all(b) == 0
        assert len(await groups(b)) == 2


async def test_a_letter_that_was_requeued_meanwhile_stays_as_it_is(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with queue_fixture(redis_url) as b:
        await b.add_dead_letter("one", earlier_reason(NAMES[1]))
        read = regrouping.Regrouping._read

        async def requeue_then_read(self: regrouping.Regrouping, ids: list[bytes]) -> object:
            letters = await read(self, ids)
            await b.dead.requeue(DeadLetterFilter(job_ids=("one",)), who="ada", reason="")
            return letters

        monkeypatch.setattr(regrouping.Regrouping, "_read", requeue_then_read)
        assert await regroup_all(b) == 0
        assert await groups(b) == {}
