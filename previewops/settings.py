"""Settings from environment variables: read once, validated together, all problems reported at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from previewops import setting_values as values
from previewops.asset_roots import default_roots, is_private
from previewops.bucket_addresses import BucketAddress
from previewops.contract_maxima import MAX_ASSETS, MAX_LENGTH_S, MAX_STEPS
from previewops.errors import UsageError
from previewops.host_patterns import HostPattern
from previewops.project_limits import ProjectLimits
from previewops.secret_files import has_password, with_credentials

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379"
DEFAULT_DATA_DIR = Path("data")

_MAX_SHOWN = 200
"""Characters of an invalid value that a message shows."""


def variable_of(setting: str) -> str:
    """Returns the environment variable of a field of :class:`Settings`: ``PREVIEW_`` and the name in capitals."""
    return setting.upper() if setting in ("redis_url", "data_dir") else f"PREVIEW_{setting.upper()}"


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


def _setting(default: Any, parse: Callable[[str], Any], text: str, *, shown: str | None = None) -> Any:
    return field(
        default=default,
        repr=parse not in values.SECRETS,  # keeps secrets out of logs and tracebacks
        metadata={"parse": parse, "text": text, "shown": shown or str(default)},
    )


def _shorten(raw: str) -> str:
    """Returns a value as messages show it."""
    return repr(raw) if len(raw) <= _MAX_SHOWN else f"{raw[:_MAX_SHOWN]!r}… ({len(raw)} characters)"


def _integer(default: int | None, low: int, high: int, text: str, *, shown: str | None = None) -> Any:
    def parse(raw: str) -> int:
        # int() alone would also accept "1_000" and " 5 ".
        value = int(raw) if re.fullmatch(r"-?[0-9]{1,18}", raw) else None
        if value is None or not low <= value <= high:
            raise values.InvalidValue(f"a whole number from {low} to {high}")
        return value

    return _setting(default, parse, text, shown=shown)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings. The defaults of the first five are those of the system that this one replaces."""

    redis_url: str | None = _setting(
        None,
        values.redis_url,
        "Address of Redis, or of its Sentinels (redis+sentinel://host,…/service). "
        "Unset: the socket of a private server under DATA_DIR if there is one, else the default.",
        shown=DEFAULT_REDIS_URL,
    )
    queue_name: str = _setting("preview-jobs", values.queue_name, "Name of the queue.")
    worker_concurrency: int = _integer(2, 1, 256, "Jobs that one worker process runs concurrently.")
    queue_max: int = _integer(
        20, 1, 100_000_000, "Maximum number of waiting and delayed jobs; further submits are rejected."
    )
    data_dir: Path = _setting(
        DEFAULT_DATA_DIR,
        values.folder,
        "Folder for bundles, assets and the private Redis server.",
        shown="./data",
    )
    store: BucketAddress | None = _setting(
        None,
        values.bucket,
        "Bucket for bundles: s3://bucket/prefix, gs://… or az://…, with ?endpoint=…&region=… where needed.",
        shown="no bucket: DATA_DIR",
    )
    artifact_links: int = _integer(
        0,
        0,
        604_800,
        "Validity of download links to the bucket that the REST API sends, s; 0: it sends files.",
    )
    asset_roots: tuple[Path, ...] | None = _setting(
        None,
        values.folders,
        "Folders that assets may be read from, separated by ':'. Of DATA_DIR only its folder assets can be one.",
        shown="DATA_DIR/assets and the worker's working folder, unless that is / or a system folder",
    )
    fonts: tuple[Path, ...] = _setting(
        (),
        values.folders,
        "Font files or folders to use before the bundled fonts, separated by ':'.",
        shown="only the bundled fonts and the system's",
    )
    themes: Path | None = _setting(
        None,
        values.folder,
        "Folder of theme files, NAME.toml each; options.theme chooses one. The same on all hosts.",
        shown="only light and dark",
    )
    asset_hosts: tuple[HostPattern, ...] = _setting(
        (),
        values.hosts,
        "Hosts that assets may be fetched from, separated by ','; *.name allows all subdomains, "
        "name=10.1.0.0/16 addresses in that private network.",
        shown="no host",
    )
    asset_buckets: tuple[BucketAddress, ...] = _setting(
        (),
        values.buckets,
        "Buckets that assets may be fetched from, as in PREVIEW_STORE, separated by ','.",
        shown="only what --import put into PREVIEW_STORE",
    )
    asset_max_mb: int = _integer(100, 1, 1_048_576, "Maximum size of one asset file, MiB.")
    fetch_timeout_s: int = _integer(20, 1, 3_600, "Timeout for fetching one asset, s.")
    fetch_max_mb: int = _integer(500, 1, 1_048_576, "Maximum that one job may fetch in total, MiB.")
    uploads_max_mb: int = _integer(
        10_240,
        0,
        1_073_741_824,
        "Maximum size of all stored assets for further uploads over REST, MiB; 0: no uploads.",
    )
    uploads_max_files: int = _integer(
        100_000, 1, 100_000_000, "Maximum number of all stored assets for further uploads over REST."
    )
    frame_max_mp: int = _integer(100, 1, 10_000, "Maximum pixels of one picture frame, millions.")
    frames_max: int = _integer(1_000, 1, 1_000_000, "Maximum frames of one animated picture.")
    picture_max_mp: int = _integer(
        400, 1, 1_000_000, "Maximum pixels of one picture, all frames together, millions."
    )
    played_frames_max: int = _integer(
        40_000, 1, 10_000_000, "Maximum frames of videos and animations that one job plays."
    )
    played_max_mp: int = _integer(
        20_000, 1, 10_000_000, "Maximum pixels of all frames that one job plays, millions."
    )
    assets_max: int = _integer(MAX_ASSETS, 1, MAX_ASSETS, "Maximum assets of one job.")
    steps_max: int = _integer(MAX_STEPS, 1, MAX_STEPS, "Maximum steps of one job.")
    length_max_s: int = _integer(MAX_LENGTH_S, 1, MAX_LENGTH_S, "Maximum length of one animation, s.")
    output_max_mb: int = _integer(256, 1, 1_048_576, "Maximum size of one bundle, MiB.")
    max_attempts: int = _integer(5, 1, 1000, "Attempts at a job that fails with transient errors.")
    max_crashes: int = _integer(3, 1, 100, "Crashes of a job before it becomes a dead letter.")
    backoff_base_ms: int = _integer(1_000, 1, 3_600_000, "Maximum delay of the first retry, ms.")
    backoff_max_ms: int = _integer(300_000, 1, 86_400_000, "Maximum delay of any retry, ms.")
    lease_ms: int = _integer(
        10_000, 1_000, 600_000, "Lease of a claim: its lifetime without a heartbeat, ms."
    )
    heartbeat_ms: int = _integer(1_000, 100, 60_000, "Interval at which a worker renews its leases, ms.")
    ageing_ms: int = _integer(
        60_000, 100, 86_400_000, "Wait after which lower priorities get every fourth claim, ms."
    )
    project_limits: tuple[tuple[str, ProjectLimits], ...] = _setting(
        (),
        values.project_limits,
        "Share of turns and maximum of active jobs by project: shop=weight:3,active:4;*=active:8. "
        "The worker that started last stores it.",
        shown="weight 1 and no maximum",
    )
    job_timeout_s: int = _integer(
        120, 1, 86_400, "Deadline of one job including its downloads; the job is killed then, s."
    )
    cpu_limit_s: int | None = _integer(
        None,
        1,
        86_399,
        "CPU time of one render, less than PREVIEW_JOB_TIMEOUT_S; it is killed then and not retried, s.",
        shown="five sixths of PREVIEW_JOB_TIMEOUT_S",
    )
    drain_timeout_s: int = _integer(25, 0, 86_400, "Time that SIGTERM gives running jobs to finish, s.")
    memory_limit_mb: int = _integer(1_088, 256, 1_048_576, "Address space of one render process, MiB.")
    render_nice: int = _integer(
        10,
        0,
        19,
        "Niceness of render processes: workers, screen and API stay prompt on a busy host; 0 disables it.",
    )
    recycle_jobs: int = _integer(200, 1, 1_000_000, "Jobs after which a render process is replaced.")
    cache_max_mb: int = _integer(
        1_024, 0, 1_073_741_824, "Maximum size of the render cache under DATA_DIR, MiB; 0 disables it."
    )
    cache_max_age_s: int = _integer(
        604_800, 60, 315_360_000, "Time without use after which a cache entry is removed, s."
    )
    keep_actions: int = _integer(
        100_000, 1_000, 100_000_000, "Actions of operators to keep, for previewops events --operators."
    )
    keep_completed: int = _integer(
        10_000, 0, 100_000_000, "Records of completed jobs to keep; bundles are not affected."
    )
    result_ttl_s: int = _integer(
        604_800, 60, 315_360_000, "Age at which records of completed jobs are removed, s."
    )
    webhook_url: str | None = _setting(
        None,
        values.webhook_url,
        "Address that workers send the end of every job to (Standard Webhooks).",
        shown="no receiver",
    )
    webhook_hosts: tuple[HostPattern, ...] = _setting(
        (),
        values.hosts,
        "Hosts that jobs may name as receivers in options.webhook, separated by ','; *.name allows all subdomains.",
        shown="no host",
    )
    webhook_secret: str | None = _setting(
        None, values.webhook_secret, "Secret that signs webhooks: whsec_ and base64.", shown="no secret"
    )
    webhook_secret_file: Path | None = _setting(
        None,
        values.file,
        "File with the secret of webhooks, instead of PREVIEW_WEBHOOK_SECRET.",
        shown="no file",
    )
    log_level: LogLevel = _setting(
        LogLevel.INFO, values.one_of(LogLevel), "Minimum log level: debug, info, warning or error."
    )
    log_format: LogFormat = _setting(
        LogFormat.AUTO,
        values.one_of(LogFormat),
        "Format of log lines: json, text, or auto (text on a terminal, else json).",
    )
    redis_password_file: Path | None = _setting(
        None,
        values.file,
        "File with the password of Redis, read for each connection; REDIS_URL then has a user at most.",
        shown="no file",
    )

    api_token: str | None = _setting(
        None,
        values.token,
        "Bearer token of the REST API; required on any address except loopback.",
        shown="no token",
    )
    api_read_token: str | None = _setting(
        None, values.token, "Second bearer token with read-only access.", shown="no token"
    )
    api_token_file: Path | None = _setting(
        None, values.file, "File with the bearer token, instead of PREVIEW_API_TOKEN.", shown="no file"
    )
    api_read_token_file: Path | None = _setting(
        None, values.file, "File with the token with read-only access.", shown="no file"
    )
    api_tokens_file: Path | None = _setting(
        None,
        values.file,
        "File with named tokens: scopes, projects, rate and queue quota of each; read again when it changes.",
        shown="no file",
    )
    link_key: tuple[str, ...] = _setting(
        (),
        values.link_keys,
        "Key that signs links, for browsers without a token; after a comma an older key that is still accepted.",
        shown="no links",
    )
    link_key_file: Path | None = _setting(
        None, values.file, "File with the key of links, instead of PREVIEW_LINK_KEY.", shown="no file"
    )
    link_ttl_s: int = _integer(3_600, 60, 604_800, "Validity of signed links, s; up to a quarter longer.")
    api_url: str | None = _setting(
        None,
        values.public_url,
        "Public address of the REST API, which signed links begin with.",
        shown="links begin with /api",
    )
    api_origins: tuple[str, ...] = _setting(
        (),
        values.origins,
        "Origins of pages that may use the REST API from a browser (CORS), separated by ','.",
        shown="only its own",
    )
    api_sendfile: str | None = _setting(
        None,
        values.sendfile,
        "Let a proxy of PREVIEW_API_PROXIES send files: x-accel-redirect:/path (nginx) or x-sendfile.",
        shown="the REST API sends them",
    )
    api_hosts: tuple[str, ...] = _setting(
        (),
        values.host_names,
        "Host names accepted in the Host header of the REST API, separated by ','.",
        shown="on loopback localhost and its addresses, elsewhere any",
    )
    api_rate: int = _integer(
        100, 0, 1_000_000, "Requests per second allowed for one client address; 0 is unlimited."
    )
    api_connections: int = _integer(1_000, 1, 100_000, "Maximum concurrent connections to the REST API.")
    api_streams: int = _integer(200, 1, 100_000, "Maximum concurrent event streams of the REST API.")
    api_client_share: int = _integer(
        50, 1, 100, "Share of connections and of event streams that one client of the REST API may hold, %."
    )
    api_proxies: tuple[IPv4Network | IPv6Network, ...] = _setting(
        (),
        values.networks,
        "Addresses or networks of reverse proxies, separated by ','; their X-Forwarded-For names the client.",
        shown="no proxy",
    )
    api_max_body_mb: int = _integer(16, 1, 256, "Maximum size of one batch of jobs, MiB.")
    api_client_timeout_s: int = _integer(
        30,
        1,
        3_600,
        "Time a client has to send its request or the next MiB of it, or to accept the next part of a response, s.",
    )

    def __post_init__(self) -> None:
        """Checks the queue's name, from which all keys are made, for settings that a program creates itself too."""
        try:
            values.queue_name(self.queue_name)
        except values.InvalidValue as allowed:
            raise UsageError(f"queue_name: found {self.queue_name!r}, allowed {allowed}") from None

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Reads ``environ``. An empty variable counts as unset; unset files may be systemd's credentials.

        Raises:
            UsageError: names every invalid variable with the found and the allowed value.
        """
        environ = with_credentials(environ)
        given: dict[str, Any] = {}
        problems: list[str] = []
        for name, spec in cls.__dataclass_fields__.items():
            if raw := environ.get(variable_of(name), ""):
                try:
                    given[name] = spec.metadata["parse"](raw)
                except values.InvalidValue as allowed:
                    found = _shorten(raw) if spec.repr else "another value"
                    problems.append(f"{variable_of(name)}: found {found}, allowed {allowed}")
        settings = cls(**given)
        if not problems:
            problems = settings._conflicts()
        if problems:
            raise UsageError("; ".join(problems), hint="correct the environment variables and start again")
        return settings

    def _conflicts(self) -> list[str]:
        problems = self._api_conflicts()
        if self.heartbeat_ms * 3 > self.lease_ms:
            allowed = f"at most a third of PREVIEW_LEASE_MS ({self.lease_ms})"
            problems.append(f"PREVIEW_HEARTBEAT_MS: found {self.heartbeat_ms}, allowed {allowed}")
        if self.artifact_links and self.store is None:
            allowed = "only together with PREVIEW_STORE"
            problems.append(f"PREVIEW_ARTIFACT_LINKS: found {self.artifact_links}, allowed {allowed}")
        if self.webhook_secret and self.webhook_secret_file is not None:
            problems.append(
                "PREVIEW_WEBHOOK_SECRET: found a secret and PREVIEW_WEBHOOK_SECRET_FILE, allowed one of them"
            )
        if self.backoff_base_ms > self.backoff_max_ms:
            allowed = f"at most PREVIEW_BACKOFF_MAX_MS ({self.backoff_max_ms})"
            problems.append(f"PREVIEW_BACKOFF_BASE_MS: found {self.backoff_base_ms}, allowed {allowed}")
        if self.cpu_limit_s is not None and self.cpu_limit_s >= self.job_timeout_s:
            # Otherwise a decoder that never ends meets the deadline first, and its job is retried.
            allowed = f"less than PREVIEW_JOB_TIMEOUT_S ({self.job_timeout_s})"
            problems.append(f"PREVIEW_CPU_LIMIT_S: found {self.cpu_limit_s}, allowed {allowed}")
        if (
            self.redis_password_file is not None
            and self.redis_url is not None
            and has_password(self.redis_url)
        ):
            problems.append(
                "REDIS_URL: found a password and PREVIEW_REDIS_PASSWORD_FILE, allowed one of them"
            )
        data_dir = self.data_dir.absolute()
        for root in self.asset_roots or ():
            if root.absolute() != data_dir and is_private(str(root.absolute()), str(data_dir)):
                allowed = f"{self.data_dir / 'assets'}, or folders outside of DATA_DIR"
                problems.append(f"PREVIEW_ASSET_ROOTS: found {str(root)!r}, allowed {allowed}")
        return problems

    def _api_conflicts(self) -> list[str]:
        problems = []
        if self.api_sendfile and self.store is not None:
            problems.append(
                f"PREVIEW_API_SENDFILE: found {self.api_sendfile}, allowed only without PREVIEW_STORE"
            )
        if self.link_key and self.link_key_file is not None:
            problems.append("PREVIEW_LINK_KEY: found a key and PREVIEW_LINK_KEY_FILE, allowed one of them")
        has_token = self.api_token is not None or self.api_token_file is not None
        if (self.api_read_token is not None or self.api_read_token_file is not None) and not has_token:
            allowed = "only together with PREVIEW_API_TOKEN"
            problems.append(f"PREVIEW_API_READ_TOKEN: found a token, allowed {allowed}")
        for name in ("api_token", "api_read_token"):
            if getattr(self, name) is not None and getattr(self, f"{name}_file") is not None:
                variable = variable_of(name)
                problems.append(f"{variable}: found a token and {variable}_FILE, allowed one of them")
        if self.api_token is not None and self.api_read_token == self.api_token:
            found = "the value of PREVIEW_API_TOKEN"
            problems.append(f"PREVIEW_API_READ_TOKEN: found {found}, allowed another token")
        return problems

    @property
    def sends_webhooks(self) -> bool:
        """Whether workers send webhooks: for all jobs, or for those that name a receiver."""
        return self.webhook_url is not None or bool(self.webhook_hosts)

    @property
    def effective_cpu_limit_s(self) -> float:
        """The processor time of one render, s: a busy thread reaches it before the deadline."""
        return self.job_timeout_s * 5 / 6 if self.cpu_limit_s is None else self.cpu_limit_s

    @classmethod
    def table(cls) -> list[tuple[str, str, str]]:
        """Returns (variable, default as text, description) of every setting, in order."""
        return [
            (variable_of(name), spec.metadata["shown"], spec.metadata["text"])
            for name, spec in cls.__dataclass_fields__.items()
        ]

    def api_share(self, total: int) -> int:
        """Returns how many of ``total`` connections or event streams one client of the REST API may hold."""
        return max(1, total * self.api_client_share // 100)

    def effective_asset_roots(self, started_in: Path) -> tuple[Path, ...]:
        """Returns the folders that assets may be read from: the setting, or DATA_DIR/assets and ``started_in``.

        A root may contain DATA_DIR; its readers exclude what of it is private, see ``previewops.asset_roots``.
        """
        if self.asset_roots is not None:
            return self.asset_roots
        return default_roots(self.data_dir, started_in)

    @property
    def store_assets(self) -> BucketAddress | None:
        """Where ``submit --import`` puts assets if bundles are in a bucket."""
        return self.store and self.store.below("assets")

    @property
    def effective_asset_buckets(self) -> tuple[BucketAddress, ...]:
        """Buckets that assets may be fetched from: the setting, and the imported assets of the store."""
        return (*self.asset_buckets, *filter(None, [self.store_assets]))
