"""``previewops health``, with the manners of a monitoring plugin."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from previewops.cli.context import Context, json_option, pass_context
from previewops.cli.output import OutputClosed, say, say_json
from previewops.clock import iso_from_ms
from previewops.errors import PreviewopsError, RedisUnavailable, UsageError
from previewops.health import Facts, Health, Thresholds, judge, unknown, unreachable

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from previewops.views import Snapshot


class MonitoringCommand(click.Command):
    """A command whose every failure is UNKNOWN: 2 would mean CRITICAL to whoever runs it."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.UsageError as error:
            say(unknown(error.format_message()).first_line())
            raise click.exceptions.Exit(int(unknown("").status)) from None


@click.command(
    cls=MonitoringCommand,
    epilog="""\b
Examples:
  previewops health
  previewops health --json
  previewops health --dead-warning 10 --dead-critical 1000
  previewops health --acknowledge-loss   after Redis lost its data: ends the alarm

\b
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (wrong options included).
The first line ends with the performance data.""",
)
@click.option(
    "--dead-warning",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Dead letters to warn at.",
)
@click.option(
    "--dead-critical",
    metavar="N",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Dead letters that are critical.",
)
@click.option("--acknowledge-loss", is_flag=True, help="End the alarm over data that Redis lost, then check.")
@json_option
@pass_context
def health(
    context: Context, dead_warning: int, dead_critical: int, acknowledge_loss: bool, as_json: bool
) -> int:
    """Check the queue, its workers and its Redis, for a monitoring system or a person."""
    thresholds = Thresholds(dead_warning=dead_warning, dead_critical=dead_critical)
    found = _examine(context, thresholds, acknowledge_loss=acknowledge_loss)
    if as_json:
        say_json(found.as_json())
    else:
        say(found.first_line())
        say(f"{check.status.name:<8}  {check.name}: {check.message}" for check in found.checks)
    return int(found.status)


def _examine(context: Context, thresholds: Thresholds, *, acknowledge_loss: bool) -> Health:
    try:
        if thresholds.dead_critical < thresholds.dead_warning:
            raise UsageError("--dead-critical is below --dead-warning")
        return judge(asyncio.run(_learn(context, acknowledge_loss)), thresholds)
    except RedisUnavailable as error:
        return unreachable(error.message)
    except PreviewopsError as error:
        return unknown(error.message)
    except OutputClosed:
        raise
    except Exception as error:
        if context.verbose:
            raise
        return unknown(f"unforeseen {type(error).__name__}: {error}")


async def _learn(context: Context, acknowledge_loss: bool) -> Facts:
    from previewops.snapshot import Snapshots

    async with context.redis() as redis:
        if acknowledge_loss:
            from previewops.cli.who import operator
            from previewops.queue import Queue

            await Queue(redis, context.settings).acknowledge_loss(who=operator())
        snapshot = await Snapshots(redis, context.settings).take()
        eviction_policy, persistent = await _server(redis)
    return _facts(snapshot, context.settings.heartbeat_ms, eviction_policy, persistent)


def _facts(
    snapshot: Snapshot, heartbeat_ms: int, eviction_policy: str | None, persistent: bool | None
) -> Facts:
    return Facts(
        waiting=sum(snapshot.waiting.values()),
        delayed=snapshot.delayed,
        active=snapshot.active,
        dead=snapshot.dead,
        oldest_waiting_ms=snapshot.oldest_waiting_ms,
        paused=snapshot.paused,
        paused_by=snapshot.paused_by,
        paused_why=snapshot.paused_why,
        unaccounted=snapshot.unaccounted,
        worker_ages_ms=tuple(snapshot.now_ms - worker.heartbeat_ms for worker in snapshot.workers),
        heartbeat_ms=heartbeat_ms,
        eviction_policy=eviction_policy,
        persistent=persistent,
        lost_at=None if snapshot.lost_ms is None else iso_from_ms(snapshot.lost_ms),
    )


async def _server(redis: Redis) -> tuple[str | None, bool | None]:
    """(eviction policy, whether data goes to disk) as far as the server lets us know: hosted ones forbid some."""
    from redis.exceptions import ResponseError

    async with redis.pipeline(transaction=False) as pipe:
        pipe.info("memory")
        pipe.info("persistence")
        pipe.config_get("save")
        memory, persistence, save = await pipe.execute(raise_on_error=False)
    policy = None if isinstance(memory, ResponseError) else memory.get("maxmemory_policy")
    if not isinstance(persistence, ResponseError) and persistence.get("aof_enabled"):
        return policy, True
    if isinstance(persistence, ResponseError) or isinstance(save, ResponseError):
        return policy, None
    return policy, bool(next(iter(save.values()), ""))
