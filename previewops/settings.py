"""Settings from environment variables: read once, validated together, all problems reported at once."""

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
    """Minimum log level."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """Format of log lines."""

    JSON = "json"
    TEXT = "text"
    AUTO = "auto"  # text in a terminal, JSON elsewhere


def _setting(
    env: str, default: Any, parse: Callable[[str, str], Any], text: str, *, shown: str | None = None
) -> Any:
    return field(
        default=default,
        # Keep secrets out of logs and tracebacks.
        repr=parse not in _SECRETS,
        metadata={"env": env, "parse": parse, "text": text, "shown": shown or str(default)},
    )


class _InvalidValue(Exception):
    """A value that its variable does not allow; the text is what is allowed."""


def _integer(low: int, high: int) -> Callable[[str, str], int]:
    def parse(_env: str, raw: str) -> int:
        # int() alone would also accept "1_000" and " 5 ".
        value = int(raw) if re.fullmatch(r"-?[0-9]{1,18}", raw) else None
        if value is None or not low <= value <= high:
            raise _InvalidValue(f"a whole number from {low} to {high}")
        return value

    return parse


def _name(_env: str, raw: str) -> str:
    if not raw or len(raw) > 100 or any(not (ch.isascii() and (ch.isalnum() or ch in "-_.:")) for ch in raw):
        raise _InvalidValue("1 to 100 of the characters A-Z a-z 0-9 - _ . :")
    return raw


def _url(_env: str, raw: str) -> str:
    if not raw.startswith(("redis://", "rediss://", "unix://")):
        raise _InvalidValue("an address that starts with redis://, rediss:// or unix://")
    return raw


def _one_of(choices: type[StrEnum]) -> Callable[[str, str], StrEnum]:
    def parse(_env: str, raw: str) -> StrEnum:
        if raw not in tuple(choices):
            raise _InvalidValue(f"one of {', '.join(choices)}")
        return choices(raw)

    return parse


def _token(_env: str, raw: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", raw) is None:
        raise _InvalidValue("16 to 512 of the characters A-Z a-z 0-9 . _ ~ + / = -")
    return raw


# Messages omit these values: an address may contain a password.
_SECRETS = (_url, _token)


def _folder(_env: str, raw: str) -> Path:
    if not raw or "\0" in raw:
        raise _InvalidValue("a folder path")
    return Path(raw)


def _folders(_env: str, raw: str) -> tuple[Path, ...]:
    return tuple(Path(part) for part in raw.split(os.pathsep) if part)


def _names(_env: str, raw: str) -> tuple[str, ...]:
    names = tuple(part.strip().lower() for part in raw.split(",") if part.strip())
    if any(re.fullmatch(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]+\]", name) is None for name in names):
        raise _InvalidValue("host names or addresses without a port, separated by ','")
    return names


def _hosts(_env: str, raw: str) -> tuple[HostPattern, ...]:
    hosts = [parse_host_pattern(part.strip()) for part in raw.split(",") if part.strip()]
    if None in hosts:
        raise _InvalidValue("host names separated by ',', each optionally *.name or name:port")
    return tuple(host for host in hosts if host is not None)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The defaults of the first five are those of the system that this one replaces."""

    redis_url: str | None = _setting(
        "REDIS_URL",
        None,
        _url,
        "Address of Redis. Unset: the socket of an embedded server under DATA_DIR if there is one, else the default.",
        shown=DEFAULT_REDIS_URL,
    )
    queue_name: str = _setting("PREVIEW_QUEUE_NAME", "preview-jobs", _name, "Name of the queue.")
    worker_concurrency: int = _setting(
        "PREVIEW_WORKER_CONCURRENCY", 2, _integer(1, 256), "Jobs that one worker process runs concurrently."
    )
    queue_max: int = _setting(
        "PREVIEW_QUEUE_MAX",
        20,
        _integer(1, 100_000_000),
        "Maximum number of waiting and delayed jobs; further submits are rejected.",
    )
    data_dir: Path = _setting(
        "DATA_DIR",
        Path("./data"),
        _folder,
        "Folder for bundles, assets and the embedded Redis server.",
        shown="./data",
    )
    asset_roots: tuple[Path, ...] | None = _setting(
        "PREVIEW_ASSET_ROOTS",
        None,
        _folders,
        "Folders that assets may be read from, separated by ':'.",
        shown="DATA_DIR/assets and the worker's working folder",
    )
    fonts: tuple[Path, ...] = _setting(
        "PREVIEW_FONTS",
        (),
        _folders,
        "Font files or folders to use before the bundled fonts, separated by ':'.",
        shown="only the bundled fonts and the system's",
    )
    asset_hosts: tuple[HostPattern, ...] = _setting(
        "PREVIEW_ASSET_HOSTS",
        (),
        _hosts,
        "Hosts that assets may be fetched from, separated by ','; *.name allows all subdomains.",
        shown="no host",
    )
    asset_max_mb: int = _setting(
        "PREVIEW_ASSET_MAX_MB", 100, _integer(1, 1_048_576), "Maximum size of one asset file, MiB."
    )
    fetch_timeout_s: int = _setting(
        "PREVIEW_FETCH_TIMEOUT_S", 20, _integer(1, 3_600), "Timeout for fetching one asset, s."
    )
    fetch_max_mb: int = _setting(
        "PREVIEW_FETCH_MAX_MB", 500, _integer(1, 1_048_576), "Maximum that one job may fetch in total, MiB."
    )
    frame_max_mp: int = _setting(
        "PREVIEW_FRAME_MAX_MP", 100, _integer(1, 10_000), "Maximum pixels of one picture frame, millions."
    )
    frames_max: int = _setting(
        "PREVIEW_FRAMES_MAX", 1_000, _integer(1, 1_000_000), "Maximum frames of one animated picture."
    )
    picture_max_mp: int = _setting(
        "PREVIEW_PICTURE_MAX_MP",
        400,
        _integer(1, 1_000_000),
        "Maximum pixels of one picture, all frames together, millions.",
    )
    assets_max: int = _setting(
        "PREVIEW_ASSETS_MAX", MAX_ASSETS, _integer(1, MAX_ASSETS), "Maximum assets of one job."
    )
    steps_max: int = _setting(
        "PREVIEW_STEPS_MAX", MAX_STEPS, _integer(1, MAX_STEPS), "Maximum steps of one job."
    )
    length_max_s: int = _setting(
        "PREVIEW_LENGTH_MAX_S", MAX_LENGTH_S, _integer(1, MAX_LENGTH_S), "Maximum length of one animation, s."
    )
    output_max_mb: int = _setting(
        "PREVIEW_OUTPUT_MAX_MB", 256, _integer(1, 1_048_576), "Maximum size of one bundle, MiB."
    )
    max_attempts: int = _setting(
        "PREVIEW_MAX_ATTEMPTS", 5, _integer(1, 1000), "Attempts at a job that fails with transient errors."
    )
    max_crashes: int = _setting(
        "PREVIEW_MAX_CRASHES", 3, _integer(1, 100), "Crashes of a job before it becomes a dead letter."
    )
    backoff_base_ms: int = _setting(
        "PREVIEW_BACKOFF_BASE_MS", 1_000, _integer(1, 3_600_000), "Maximum delay of the first retry, ms."
    )
    backoff_max_ms: int = _setting(
        "PREVIEW_BACKOFF_MAX_MS", 300_000, _integer(1, 86_400_000), "Maximum delay of any retry, ms."
    )
    lease_ms: int = _setting(
        "PREVIEW_LEASE_MS",
        10_000,
        _integer(1_000, 600_000),
        "Lease of a claim: its lifetime without a heartbeat, ms.",
    )
    heartbeat_ms: int = _setting(
        "PREVIEW_HEARTBEAT_MS",
        1_000,
        _integer(100, 60_000),
        "Interval at which a worker renews its leases, ms.",
    )
    ageing_ms: int = _setting(
        "PREVIEW_AGEING_MS",
        60_000,
        _integer(100, 86_400_000),
        "Wait after which lower priorities get every fourth claim, ms.",
    )
    job_timeout_s: int = _setting(
        "PREVIEW_JOB_TIMEOUT_S",
        120,
        _integer(1, 86_400),
        "Deadline of one job including its downloads; the job is killed then, s.",
    )
    cpu_limit_s: int = _setting(
        "PREVIEW_CPU_LIMIT_S", 240, _integer(1, 864_000), "CPU time of one render; it is killed then, s."
    )
    drain_timeout_s: int = _setting(
        "PREVIEW_DRAIN_TIMEOUT_S",
        25,
        _integer(0, 86_400),
        "Time that SIGTERM gives running jobs to finish, s.",
    )
    memory_limit_mb: int = _setting(
        "PREVIEW_MEMORY_LIMIT_MB",
        1_024,
        _integer(256, 1_048_576),
        "Address space of one render process, MiB.",
    )
    recycle_jobs: int = _setting(
        "PREVIEW_RECYCLE_JOBS", 200, _integer(1, 1_000_000), "Jobs after which a render process is replaced."
    )
    cache_max_mb: int = _setting(
        "PREVIEW_CACHE_MAX_MB",
        1_024,
        _integer(0, 1_073_741_824),
        "Maximum size of the render cache under DATA_DIR, MiB; 0 disables it.",
    )
    cache_max_age_s: int = _setting(
        "PREVIEW_CACHE_MAX_AGE_S",
        604_800,
        _integer(60, 315_360_000),
        "Time without use after which a cache entry is removed, s.",
    )
    keep_completed: int = _setting(
        "PREVIEW_KEEP_COMPLETED",
        10_000,
        _integer(0, 100_000_000),
        "Records of completed jobs to keep; bundles are not affected.",
    )
    result_ttl_s: int = _setting(
        "PREVIEW_RESULT_TTL_S",
        604_800,
        _integer(60, 315_360_000),
        "Age at which records of completed jobs are removed, s.",
    )
    log_level: LogLevel = _setting(
        "PREVIEW_LOG_LEVEL",
        LogLevel.INFO,
        _one_of(LogLevel),
        "Minimum log level: debug, info, warning or error.",
    )
    log_format: LogFormat = _setting(
        "PREVIEW_LOG_FORMAT",
        LogFormat.AUTO,
        _one_of(LogFormat),
        "Format of log lines: json, text, or auto (text on a terminal, else json).",
    )

    api_token: str | None = _setting(
        "PREVIEW_API_TOKEN",
        None,
        _token,
        "Bearer token of the REST API; required on any address except loopback.",
        shown="no token",
    )
    api_read_token: str | None = _setting(
        "PREVIEW_API_READ_TOKEN", None, _token, "Second bearer token with read-only access.", shown="no token"
    )
    api_hosts: tuple[str, ...] = _setting(
        "PREVIEW_API_HOSTS",
        (),
        _names,
        "Host names accepted in the Host header of the REST API, separated by ','.",
        shown="on loopback localhost and its addresses, elsewhere any",
    )
    api_rate: int = _setting(
        "PREVIEW_API_RATE",
        100,
        _integer(0, 1_000_000),
        "Requests per second allowed for one client address; 0 is unlimited.",
    )
    api_connections: int = _setting(
        "PREVIEW_API_CONNECTIONS",
        1_000,
        _integer(1, 100_000),
        "Maximum concurrent connections to the REST API.",
    )
    api_streams: int = _setting(
        "PREVIEW_API_STREAMS", 200, _integer(1, 100_000), "Maximum concurrent event streams of the REST API."
    )
    api_max_body_mb: int = _setting(
        "PREVIEW_API_MAX_BODY_MB", 16, _integer(1, 256), "Maximum size of one batch of jobs, MiB."
    )
    api_client_timeout_s: int = _setting(
        "PREVIEW_API_CLIENT_TIMEOUT_S",
        30,
        _integer(1, 3_600),
        "Time a client has to send its request, or to accept the next part of a response, s.",
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads ``environ``. An empty variable counts as unset.

        Raises:
            UsageError: names every invalid variable with the found and the allowed value.
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
            except _InvalidValue as allowed:
                found = "another value" if spec.metadata["parse"] in _SECRETS else repr(raw)
                problems.append(f"{env}: found {found}, allowed {allowed}")
        settings = cls(**values)
        if not problems:
            problems = settings._conflicts()
        if problems:
            raise UsageError("; ".join(problems), hint="correct the environment variables and start again")
        return settings

    def _conflicts(self) -> list[str]:
        problems = []
        if self.heartbeat_ms * 3 > self.lease_ms:
            allowed = f"at most a third of PREVIEW_LEASE_MS ({self.lease_ms})"
            problems.append(f"PREVIEW_HEARTBEAT_MS: found {self.heartbeat_ms}, allowed {allowed}")
        if self.backoff_base_ms > self.backoff_max_ms:
            allowed = f"at most PREVIEW_BACKOFF_MAX_MS ({self.backoff_max_ms})"
            problems.append(f"PREVIEW_BACKOFF_BASE_MS: found {self.backoff_base_ms}, allowed {allowed}")
        if self.api_read_token is not None and self.api_token is None:
            allowed = "only together with PREVIEW_API_TOKEN"
            problems.append(f"PREVIEW_API_READ_TOKEN: found a token, allowed {allowed}")
        if self.api_token is not None and self.api_read_token == self.api_token:
            problems.append(
                "PREVIEW_API_READ_TOKEN: found the value of PREVIEW_API_TOKEN, allowed another token"
            )
        return problems

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Returns (variable, default as text, description) of every setting, in order."""
        return [
            (spec.metadata["env"], spec.metadata["shown"], spec.metadata["text"])
            for spec in cls.__dataclass_fields__.values()
        ]

    def effective_asset_roots(self, started_in: Path) -> tuple[Path, ...]:
        """Returns the folders that assets may be read from: the setting, or DATA_DIR/assets and ``started_in``."""
        if self.asset_roots is not None:
            return self.asset_roots
        return (self.data_dir / "assets", started_in)
