"""Settings from the environment, read once, checked whole, and reported all at once."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from previewops.contract_maxima import MAX_ASSETS, MAX_LENGTH_S, MAX_STEPS
from previewops.errors import UsageError
from previewops.host_patterns import HostPattern, parse_host_pattern

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379"


class LogLevel(StrEnum):
    """The least that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """What log lines look like."""

    JSON = "json"
    TEXT = "text"
    AUTO = "auto"  # text in a terminal, JSON elsewhere


def _setting(
    env: str, default: Any, parse: Callable[[str, str], Any], text: str, *, shown: str | None = None
) -> Any:
    return field(
        default=default,
        # Neither a log nor a traceback is to tell what opens a door.
        repr=parse not in _SECRETS,
        metadata={"env": env, "parse": parse, "text": text, "shown": shown or str(default)},
    )


class _Refused(Exception):
    """A value that its variable does not allow; the text says what is allowed."""


def _whole(low: int, high: int) -> Callable[[str, str], int]:
    def parse(_env: str, raw: str) -> int:
        # int() alone would take "1_000" and " 5 " too.
        value = int(raw) if re.fullmatch(r"-?[0-9]{1,18}", raw) else None
        if value is None or not low <= value <= high:
            raise _Refused(f"a whole number from {low} to {high}")
        return value

    return parse


def _name(_env: str, raw: str) -> str:
    if not raw or len(raw) > 100 or any(not (ch.isascii() and (ch.isalnum() or ch in "-_.:")) for ch in raw):
        raise _Refused("1 to 100 of the characters A-Z a-z 0-9 - _ . :")
    return raw


def _url(_env: str, raw: str) -> str:
    if not raw.startswith(("redis://", "rediss://", "unix://")):
        raise _Refused("an address that begins with redis://, rediss:// or unix://")
    return raw


def _one_of(words: type[StrEnum]) -> Callable[[str, str], StrEnum]:
    def parse(_env: str, raw: str) -> StrEnum:
        if raw not in tuple(words):
            raise _Refused(f"one of {', '.join(words)}")
        return words(raw)

    return parse


def _token(_env: str, raw: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", raw) is None:
        raise _Refused("16 to 512 of the characters A-Z a-z 0-9 . _ ~ + / = -")
    return raw


# Their values stand in no message: an address may hold a password.
_SECRETS = (_url, _token)


def _folder(_env: str, raw: str) -> Path:
    if not raw or "\0" in raw:
        raise _Refused("the path of a folder")
    return Path(raw)


def _folders(_env: str, raw: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in raw.split(os.pathsep) if part)


def _names(_env: str, raw: str) -> tuple[str, ...]:
    found = tuple(part.strip().lower() for part in raw.split(",") if part.strip())
    if any(re.fullmatch(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]+\]", name) is None for name in found):
        raise _Refused("host names or addresses without a port, separated by ','")
    return found


def _hosts(_env: str, raw: str) -> tuple[HostPattern, ...]:
    found = [parse_host_pattern(part.strip()) for part in raw.split(",") if part.strip()]
    if None in found:
        raise _Refused("host names separated by ',', each perhaps as *.name or name:port")
    return tuple(host for host in found if host is not None)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, each documented by its variable.

    The defaults of the first five are those of the system this one succeeds.
    """

    redis_url: str | None = _setting(
        "REDIS_URL",
        None,
        _url,
        "Where Redis is. Unset: an embedded server's socket under DATA_DIR, else the default.",
        shown=DEFAULT_REDIS_URL,
    )
    queue_name: str = _setting("PREVIEW_QUEUE_NAME", "preview-jobs", _name, "Name of the queue.")
    worker_concurrency: int = _setting(
        "PREVIEW_WORKER_CONCURRENCY", 2, _whole(1, 256), "Jobs that one worker process runs at a time."
    )
    queue_max: int = _setting(
        "PREVIEW_QUEUE_MAX",
        20,
        _whole(1, 100_000_000),
        "Jobs that may wait or back off before submits are refused.",
    )
    data_dir: Path = _setting(
        "DATA_DIR", Path("./data"), _folder, "Bundles, assets and the embedded server.", shown="./data"
    )
    asset_roots: tuple[Path, ...] | None = _setting(
        "PREVIEW_ASSET_ROOTS",
        None,
        _folders,
        "Folders that assets may be read from, separated by ':'.",
        shown="DATA_DIR/assets and the folder the worker was started in",
    )
    fonts: tuple[Path, ...] = _setting(
        "PREVIEW_FONTS",
        (),
        _folders,
        "Fonts, or folders of them, that go before the design's own, separated by ':'.",
        shown="none beside the design's own and the machine's",
    )
    asset_hosts: tuple[HostPattern, ...] = _setting(
        "PREVIEW_ASSET_HOSTS",
        (),
        _hosts,
        "Hosts that assets may be fetched from, separated by ','; *.name means those below a name.",
        shown="no host",
    )
    asset_max_mb: int = _setting(
        "PREVIEW_ASSET_MAX_MB", 100, _whole(1, 1_048_576), "Size of one asset's file, MiB."
    )
    fetch_timeout_s: int = _setting(
        "PREVIEW_FETCH_TIMEOUT_S", 20, _whole(1, 3_600), "How long fetching one asset may take, s."
    )
    fetch_max_mb: int = _setting(
        "PREVIEW_FETCH_MAX_MB", 500, _whole(1, 1_048_576), "All that one job may fetch, together, MiB."
    )
    frame_max_mp: int = _setting(
        "PREVIEW_FRAME_MAX_MP", 100, _whole(1, 10_000), "Pixels of one frame of a picture, millions."
    )
    frames_max: int = _setting(
        "PREVIEW_FRAMES_MAX", 1_000, _whole(1, 1_000_000), "Frames of one animated picture."
    )
    picture_max_mp: int = _setting(
        "PREVIEW_PICTURE_MAX_MP",
        400,
        _whole(1, 1_000_000),
        "Pixels over all frames of one picture, millions.",
    )
    assets_max: int = _setting("PREVIEW_ASSETS_MAX", MAX_ASSETS, _whole(1, MAX_ASSETS), "Assets of one job.")
    steps_max: int = _setting("PREVIEW_STEPS_MAX", MAX_STEPS, _whole(1, MAX_STEPS), "Steps of one job.")
    length_max_s: int = _setting(
        "PREVIEW_LENGTH_MAX_S", MAX_LENGTH_S, _whole(1, MAX_LENGTH_S), "Length of one job's animation, s."
    )
    output_max_mb: int = _setting(
        "PREVIEW_OUTPUT_MAX_MB", 256, _whole(1, 1_048_576), "Size of one bundle, MiB."
    )
    max_attempts: int = _setting(
        "PREVIEW_MAX_ATTEMPTS", 5, _whole(1, 1000), "Attempts at a job whose failures are transient."
    )
    max_crashes: int = _setting(
        "PREVIEW_MAX_CRASHES", 3, _whole(1, 100), "Crashes after which a job counts as poison and is dead."
    )
    backoff_base_ms: int = _setting(
        "PREVIEW_BACKOFF_BASE_MS", 1_000, _whole(1, 3_600_000), "Bound of the first retry's delay, ms."
    )
    backoff_max_ms: int = _setting(
        "PREVIEW_BACKOFF_MAX_MS", 300_000, _whole(1, 86_400_000), "Bound of any retry's delay, ms."
    )
    lease_ms: int = _setting(
        "PREVIEW_LEASE_MS", 10_000, _whole(1_000, 600_000), "How long a claim holds without a heartbeat, ms."
    )
    heartbeat_ms: int = _setting(
        "PREVIEW_HEARTBEAT_MS", 1_000, _whole(100, 60_000), "How often a worker renews its leases, ms."
    )
    ageing_ms: int = _setting(
        "PREVIEW_AGEING_MS",
        60_000,
        _whole(100, 86_400_000),
        "Wait after which a lower priority gets every fourth claim, ms.",
    )
    job_timeout_s: int = _setting(
        "PREVIEW_JOB_TIMEOUT_S",
        120,
        _whole(1, 86_400),
        "Deadline of one job, its assets' reading included, after which it is killed, s.",
    )
    cpu_limit_s: int = _setting(
        "PREVIEW_CPU_LIMIT_S",
        240,
        _whole(1, 864_000),
        "Processor time of one render, after which it is killed, s.",
    )
    drain_timeout_s: int = _setting(
        "PREVIEW_DRAIN_TIMEOUT_S", 25, _whole(0, 86_400), "How long SIGTERM waits for running jobs, s."
    )
    memory_limit_mb: int = _setting(
        "PREVIEW_MEMORY_LIMIT_MB", 1_024, _whole(256, 1_048_576), "Address space of one render process, MiB."
    )
    recycle_jobs: int = _setting(
        "PREVIEW_RECYCLE_JOBS", 200, _whole(1, 1_000_000), "Jobs after which a render process is replaced."
    )
    cache_max_mb: int = _setting(
        "PREVIEW_CACHE_MAX_MB",
        1_024,
        _whole(0, 1_073_741_824),
        "Size of what is kept for reuse under DATA_DIR, MiB; 0 reuses nothing.",
    )
    cache_max_age_s: int = _setting(
        "PREVIEW_CACHE_MAX_AGE_S",
        604_800,
        _whole(60, 315_360_000),
        "Time without use after which it is forgotten, s.",
    )
    keep_completed: int = _setting(
        "PREVIEW_KEEP_COMPLETED",
        10_000,
        _whole(0, 100_000_000),
        "Records of completed jobs that are kept; bundles stay.",
    )
    result_ttl_s: int = _setting(
        "PREVIEW_RESULT_TTL_S", 604_800, _whole(60, 315_360_000), "Age at which they are forgotten, s."
    )
    log_level: LogLevel = _setting(
        "PREVIEW_LOG_LEVEL",
        LogLevel.INFO,
        _one_of(LogLevel),
        "The least that is logged: debug, info, warning or error.",
    )
    log_format: LogFormat = _setting(
        "PREVIEW_LOG_FORMAT",
        LogFormat.AUTO,
        _one_of(LogFormat),
        "Log lines: json, text, or auto, which is text in a terminal and json elsewhere.",
    )

    api_token: str | None = _setting(
        "PREVIEW_API_TOKEN",
        None,
        _token,
        "Bearer token of the REST door; it needs one on any address but loopback.",
        shown="no token",
    )
    api_read_token: str | None = _setting(
        "PREVIEW_API_READ_TOKEN",
        None,
        _token,
        "A second token, which may look and not act.",
        shown="no token",
    )
    api_hosts: tuple[str, ...] = _setting(
        "PREVIEW_API_HOSTS",
        (),
        _names,
        "Names that clients may call the REST door by, separated by ','.",
        shown="on loopback localhost and its addresses, elsewhere any",
    )
    api_rate: int = _setting(
        "PREVIEW_API_RATE",
        100,
        _whole(0, 1_000_000),
        "Requests a second that one client address may make; 0 bounds nothing.",
    )
    api_connections: int = _setting(
        "PREVIEW_API_CONNECTIONS",
        1_000,
        _whole(1, 100_000),
        "Connections that the REST door serves at a time.",
    )
    api_streams: int = _setting(
        "PREVIEW_API_STREAMS", 200, _whole(1, 100_000), "Streams of events that it keeps open at a time."
    )
    api_max_body_mb: int = _setting(
        "PREVIEW_API_MAX_BODY_MB", 16, _whole(1, 256), "Size of one batch of jobs that it takes, MiB."
    )
    api_client_timeout_s: int = _setting(
        "PREVIEW_API_CLIENT_TIMEOUT_S",
        30,
        _whole(1, 3_600),
        "How long a client may take over its request, or over the next piece of an answer, s.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads ``environ``. An empty variable counts as unset.

        Raises:
            UsageError: naming every variable that is off, what was found and what is allowed.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, spec in cls.__dataclass_fields__.items():
            env = spec.metadata["env"]
            raw = environ.get(env, "")
            if raw == "":
                continue
            try:
                values[name] = spec.metadata["parse"](env, raw)
            except _Refused as refusal:
                found = "something else" if spec.metadata["parse"] in _SECRETS else repr(raw)
                problems.append(f"{env} is {found}; allowed is {refusal}")
        settings = cls(**values)
        if not problems:
            problems = settings._conflicts()
        if problems:
            raise UsageError("; ".join(problems), hint="correct the environment variables and start again")
        return settings

    def _conflicts(self) -> list[str]:
        found = []
        if self.heartbeat_ms * 3 > self.lease_ms:
            found.append(
                f"PREVIEW_HEARTBEAT_MS is {self.heartbeat_ms}; allowed is at most a third of "
                f"PREVIEW_LEASE_MS ({self.lease_ms})"
            )
        if self.backoff_base_ms > self.backoff_max_ms:
            found.append(
                f"PREVIEW_BACKOFF_BASE_MS is {self.backoff_base_ms}; allowed is at most "
                f"PREVIEW_BACKOFF_MAX_MS ({self.backoff_max_ms})"
            )
        if self.api_read_token is not None and self.api_token is None:
            found.append("PREVIEW_API_READ_TOKEN is set; allowed is that only beside PREVIEW_API_TOKEN")
        if self.api_token is not None and self.api_read_token == self.api_token:
            found.append("PREVIEW_API_READ_TOKEN is PREVIEW_API_TOKEN; allowed is another token")
        return found

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """(variable, default as text, meaning) of every setting, in order."""
        return [
            (spec.metadata["env"], spec.metadata["shown"], spec.metadata["text"])
            for spec in cls.__dataclass_fields__.values()
        ]

    def effective_asset_roots(self, started_in: Path) -> tuple[Path, ...]:
        """The folders assets may come from: the setting, or else DATA_DIR/assets and ``started_in``."""
        if self.asset_roots is not None:
            return self.asset_roots
        return (self.data_dir / "assets", started_in)
