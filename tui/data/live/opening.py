"""Opens queues: that of the command line, those of contexts, and others of the same server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from previewops.errors import UsageError
from previewops.settings import Settings, variable_of
from previewops.tui.commands.commands import ReadOnlyExecutor
from previewops.tui.data.live.connection import QueueConnection
from previewops.tui.data.live.executor import LiveExecutor
from previewops.tui.data.live.source import LiveSource
from previewops.tui.preferences.contexts import ContextSettings
from previewops.tui.protocols import OpenQueue, QueueChoice
from previewops.tui.viewmodel.addresses import short_address

ENVIRONMENT_VARIABLE = "PREVIEW_ENV"


@dataclass(frozen=True, slots=True)
class LiveQueues:
    """``QueueOpener`` over Redis.

    ``environ`` and ``redis_url`` are those of the command line; contexts replace some of them. ``read_only`` holds
    for all queues, ``base_read_only`` for the server of the command line.
    """

    environ: Mapping[str, str]
    redis_url: str
    who: str
    read_only: bool = False
    base_read_only: bool = False
    contexts_by_name: Mapping[str, ContextSettings] = field(default_factory=dict)

    @property
    def contexts(self) -> tuple[QueueChoice, ...]:
        base = Settings.from_env(self.environ)
        start = QueueChoice(
            "",
            base.queue_name,
            short_address(self.redis_url),
            self.environ.get(ENVIRONMENT_VARIABLE, ""),
        )
        others = (
            QueueChoice(
                name,
                context.queue or base.queue_name,
                short_address(context.redis_url or self.redis_url),
                context.environment or "",
            )
            for name, context in self.contexts_by_name.items()
        )
        return (start, *others)

    def open(self, choice: QueueChoice) -> OpenQueue:
        """Opens a queue. Nothing is sent before the first call.

        Raises:
            UsageError: there is no such context, or its settings are invalid.
        """
        context = self._find(choice.context)
        environ = {**self.environ, **_variables(context, choice.queue)}
        settings = Settings.from_env(environ)
        url = context.redis_url or self.redis_url
        connection = QueueConnection(url, settings, who=self.who)
        source, executor = LiveSource(connection), LiveExecutor(connection)
        elsewhere = context.redis_url is not None
        read_only = self.read_only or context.read_only or (self.base_read_only and not elsewhere)
        inherited = "" if elsewhere else self.environ.get(ENVIRONMENT_VARIABLE, "")
        return OpenQueue(
            source=source,
            executor=ReadOnlyExecutor(executor) if read_only else executor,
            health_source=source,
            close=connection.aclose,
            context=choice.context,
            queue_name=settings.queue_name,
            address=short_address(url),
            environment=context.environment or inherited,
            read_only=read_only,
            heartbeat_ms=settings.heartbeat_ms,
        )

    def _find(self, name: str) -> ContextSettings:
        if not name:
            return ContextSettings()
        context = self.contexts_by_name.get(name)
        if context is None:
            known = (
                ", ".join(self.contexts_by_name) or "none, as the settings file has no valid [contexts.NAME]"
            )
            raise UsageError(f"context: found {name!r}, allowed {known}")
        return context


def _variables(context: ContextSettings, queue: str) -> dict[str, str]:
    """The environment variables of a context. "" removes one."""
    variables = {
        variable_of("queue_name"): queue or context.queue,
        variable_of("data_dir"): context.data_dir,
        variable_of("store"): context.store,
    }
    if context.redis_url is not None:
        # The password of one server must not be sent to another.
        variables |= {variable_of("redis_url"): "", variable_of("redis_password_file"): ""}
    return {name: value for name, value in variables.items() if value is not None}
