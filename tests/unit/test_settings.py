"""Settings: defaults, limits, and reporting of all problems at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from previewops.errors import UsageError
from previewops.settings import Settings, variable_of

INTEGERS = {
    "PREVIEW_WORKER_CONCURRENCY": ("worker_concurrency", 1, 256),
    "PREVIEW_QUEUE_MAX": ("queue_max", 1, 100_000_000),
    "PREVIEW_ASSET_MAX_MB": ("asset_max_mb", 1, 1_048_576),
    "PREVIEW_LINK_TTL_S": ("link_ttl_s", 60, 604_800),
    "PREVIEW_UPLOADS_MAX_MB": ("uploads_max_mb", 0, 1_073_741_824),
    "PREVIEW_UPLOADS_MAX_FILES": ("uploads_max_files", 1, 100_000_000),
    "PREVIEW_FETCH_TIMEOUT_S": ("fetch_timeout_s", 1, 3_600),
    "PREVIEW_FETCH_MAX_MB": ("fetch_max_mb", 1, 1_048_576),
    "PREVIEW_FRAME_MAX_MP": ("frame_max_mp", 1, 10_000),
    "PREVIEW_FRAMES_MAX": ("frames_max", 1, 1_000_000),
    "PREVIEW_PICTURE_MAX_MP": ("picture_max_mp", 1, 1_000_000),
    "PREVIEW_PLAYED_FRAMES_MAX": ("played_frames_max", 1, 10_000_000),
    "PREVIEW_PLAYED_MAX_MP": ("played_max_mp", 1, 10_000_000),
    "PREVIEW_ASSETS_MAX": ("assets_max", 1, 500),
    "PREVIEW_STEPS_MAX": ("steps_max", 1, 500),
    "PREVIEW_LENGTH_MAX_S": ("length_max_s", 1, 600),
    "PREVIEW_OUTPUT_MAX_MB": ("output_max_mb", 1, 1_048_576),
    "PREVIEW_MAX_ATTEMPTS": ("max_attempts", 1, 1000),
    "PREVIEW_MAX_CRASHES": ("max_crashes", 1, 100),
    "PREVIEW_BACKOFF_BASE_MS": ("backoff_base_ms", 1, 3_600_000),
    "PREVIEW_BACKOFF_MAX_MS": ("backoff_max_ms", 1, 86_400_000),
    "PREVIEW_LEASE_MS": ("lease_ms", 1_000, 600_000),
    "PREVIEW_HEARTBEAT_MS": ("heartbeat_ms", 100, 60_000),
    "PREVIEW_AGEING_MS": ("ageing_ms", 100, 86_400_000),
    "PREVIEW_JOB_TIMEOUT_S": ("job_timeout_s", 1, 86_400),
    "PREVIEW_CPU_LIMIT_S": ("cpu_limit_s", 1, 86_399),
    "PREVIEW_DRAIN_TIMEOUT_S": ("drain_timeout_s", 0, 86_400),
    "PREVIEW_MEMORY_LIMIT_MB": ("memory_limit_mb", 256, 1_048_576),
    "PREVIEW_RENDER_NICE": ("render_nice", 0, 19),
    "PREVIEW_RECYCLE_JOBS": ("recycle_jobs", 1, 1_000_000),
    "PREVIEW_CACHE_MAX_MB": ("cache_max_mb", 0, 1_073_741_824),
    "PREVIEW_CACHE_MAX_AGE_S": ("cache_max_age_s", 60, 315_360_000),
    "PREVIEW_KEEP_ACTIONS": ("keep_actions", 1_000, 100_000_000),
    "PREVIEW_KEEP_COMPLETED": ("keep_completed", 0, 100_000_000),
    "PREVIEW_RESULT_TTL_S": ("result_ttl_s", 60, 315_360_000),
    "PREVIEW_ARTIFACT_LINKS": ("artifact_links", 0, 604_800),
    "PREVIEW_API_RATE": ("api_rate", 0, 1_000_000),
    "PREVIEW_API_CONNECTIONS": ("api_connections", 1, 100_000),
    "PREVIEW_API_CLIENT_SHARE": ("api_client_share", 1, 100),
    "PREVIEW_API_STREAMS": ("api_streams", 1, 100_000),
    "PREVIEW_API_MAX_BODY_MB": ("api_max_body_mb", 1, 256),
    "PREVIEW_API_CLIENT_TIMEOUT_S": ("api_client_timeout_s", 1, 3_600),
}
# Further settings that a limit needs to avoid a conflict.
COMPANIONS = {
    ("PREVIEW_ARTIFACT_LINKS", 604_800): {"PREVIEW_STORE": "s3://bucket"},
    ("PREVIEW_BACKOFF_BASE_MS", 3_600_000): {"PREVIEW_BACKOFF_MAX_MS": "3600000"},
    ("PREVIEW_BACKOFF_MAX_MS", 1): {"PREVIEW_BACKOFF_BASE_MS": "1"},
    ("PREVIEW_LEASE_MS", 1_000): {"PREVIEW_HEARTBEAT_MS": "333"},
    ("PREVIEW_CPU_LIMIT_S", 86_399): {"PREVIEW_JOB_TIMEOUT_S": "86400"},
    ("PREVIEW_HEARTBEAT_MS", 60_000): {"PREVIEW_LEASE_MS": "180000"},
}
OTHERS = {
    "REDIS_URL",
    "PREVIEW_QUEUE_NAME",
    "DATA_DIR",
    "PREVIEW_ASSET_ROOTS",
    "PREVIEW_ASSET_HOSTS",
    "PREVIEW_FONTS",
    "PREVIEW_API_TOKEN",
    "PREVIEW_API_READ_TOKEN",
    "PREVIEW_API_HOSTS",
    "PREVIEW_STORE",
    "PREVIEW_ASSET_BUCKETS",
    "PREVIEW_API_PROXIES",
}


def test_empty_environment_gives_the_defaults() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert (settings.redis_url, settings.queue_name, settings.worker_concurrency, settings.queue_max) == (
        None,
        "preview-jobs",
        2,
        20,
    )
    assert settings.data_dir == Path("data")
    assert settings.max_crashes == 3


@pytest.mark.parametrize("timeout_s", [1, 2, 60, 120, 86_400])
def test_processor_time_ends_before_the_deadline_unless_set(timeout_s: int) -> None:
    settings = Settings.from_env({"PREVIEW_JOB_TIMEOUT_S": str(timeout_s)})
    assert 0 < settings.effective_cpu_limit_s < timeout_s
    assert Settings().effective_cpu_limit_s == 100


@pytest.mark.parametrize(("limit_s", "timeout_s"), [(240, 120), (120, 120)])
def test_processor_time_beyond_the_deadline_is_a_conflict_that_names_both(
    limit_s: int, timeout_s: int
) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.from_env({"PREVIEW_CPU_LIMIT_S": str(limit_s), "PREVIEW_JOB_TIMEOUT_S": str(timeout_s)})
    allowed = f"less than PREVIEW_JOB_TIMEOUT_S ({timeout_s})"
    assert caught.value.message == f"PREVIEW_CPU_LIMIT_S: found {limit_s}, allowed {allowed}"


def test_every_integer_setting_is_tested_here() -> None:
    named = {variable for variable, _, _ in Settings.table()}
    assert set(INTEGERS) <= named
    assert named >= OTHERS
    numbers = {
        variable_of(name)
        for name in Settings.__dataclass_fields__
        if isinstance(getattr(Settings(), name), int)
    } | {"PREVIEW_CPU_LIMIT_S"}  # derived from another one by default
    assert numbers == set(INTEGERS)


@pytest.mark.parametrize("variable", INTEGERS)
def test_integer_settings_check_both_bounds(variable: str) -> None:
    name, low, high = INTEGERS[variable]
    for bound in (low, high):
        environ = {variable: str(bound), **COMPANIONS.get((variable, bound), {})}
        assert getattr(Settings.from_env(environ), name) == bound
    for wrong in (str(low - 1), str(high + 1), "x", "1.5", "-1", "9" * 5_000, "nan"):
        with pytest.raises(UsageError) as caught:
            Settings.from_env({variable: wrong})
        assert f"{variable}: found {wrong[:200]!r}" in caught.value.message
        assert f"from {low} to {high}" in caught.value.message


@pytest.mark.parametrize(
    ("value", "shown", "endpoint", "region"),
    [
        ("s3://bucket", "s3://bucket", None, None),
        ("s3://b.u-cket/a/b_c/?region=eu-1", "s3://b.u-cket/a/b_c", None, "eu-1"),
        ("gs://bucket/p", "gs://bucket/p", None, None),
        ("az://container?endpoint=http://h:1/account/", "az://container", "http://h:1/account", None),
    ],
)
def test_store_addresses(value: str, shown: str, endpoint: str | None, region: str | None) -> None:
    store = Settings.from_env({"PREVIEW_STORE": value}).store
    assert store is not None
    assert (str(store), store.endpoint, store.region) == (shown, endpoint, region)


@pytest.mark.parametrize(
    "value",
    ["bucket", "s3://", "s3:///p", "file:///x", "s3://key:secret@bucket", "s3://bucket?endpoint=secret", "s3://b/../secret",
     "s3://bucket?secret=1", "s3://bucket?region=a&region=b", "s3://bucket?endpoint=http://u:secret@h", "s3://bucket#secret",
     "s3://bucket?endpoint=http://[", "s3://bucket/a//b", "s3://bucket?region=s e"],
)  # fmt: skip
def test_invalid_store_addresses_are_not_repeated(value: str) -> None:
    with pytest.raises(UsageError, match="PREVIEW_STORE: found another value, allowed s3://bucket") as caught:
        Settings.from_env({"PREVIEW_STORE": value})
    assert "secret" not in caught.value.message


def test_links_need_a_store() -> None:
    with pytest.raises(UsageError, match="PREVIEW_ARTIFACT_LINKS: found 60, allowed only together"):
        Settings.from_env({"PREVIEW_ARTIFACT_LINKS": "60"})


@pytest.mark.parametrize("name", ["q", "A-z_0.9", "x" * 100])
def test_valid_queue_names(name: str) -> None:
    assert Settings.from_env({"PREVIEW_QUEUE_NAME": name}).queue_name == name


@pytest.mark.parametrize(
    "name",
    [
        "x" * 101,
        "a b",
        "a'b",
        "a/b",
        "größe",
        "a\n",
        "{a}",
        "a*",
        "a?",
        "[a]",
        "a\\",
        "shop:dead",
        "q:",
        ":",
        "arq",
    ],
)
def test_invalid_queue_names(name: str) -> None:
    with pytest.raises(UsageError, match="PREVIEW_QUEUE_NAME"):
        Settings.from_env({"PREVIEW_QUEUE_NAME": name})
    with pytest.raises(UsageError, match="queue_name"):
        Settings(queue_name=name)


def test_a_colon_in_a_queue_name_has_its_own_message() -> None:
    with pytest.raises(UsageError, match=r"without a colon .*--rename-from"):
        Settings.from_env({"PREVIEW_QUEUE_NAME": "shop:dead"})


@pytest.mark.parametrize(
    "url",
    [
        "redis://h:1/2",
        "rediss://u:p@h",
        "unix:///run/redis.sock",
        "redis+sentinel://a,b/x",
        "rediss+sentinel://a/x",
    ],
)
def test_valid_redis_urls(url: str) -> None:
    assert Settings.from_env({"REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize("url", ["http://h", "h:6379", "/run/redis.sock"])
def test_invalid_redis_urls(url: str) -> None:
    with pytest.raises(UsageError, match="REDIS_URL"):
        Settings.from_env({"REDIS_URL": url})


def test_folders() -> None:
    settings = Settings.from_env({"DATA_DIR": "/srv/d", "PREVIEW_ASSET_ROOTS": "/a:b::/c"})
    assert settings.data_dir == Path("/srv/d")
    assert settings.effective_asset_roots(Path("/here")) == (Path("/a"), Path("b"), Path("/c"))
    assert Settings(data_dir=Path("/d")).effective_asset_roots(Path("/here")) == (
        Path("/d/assets"),
        Path("/here"),
    )
    with pytest.raises(UsageError, match="DATA_DIR"):
        Settings.from_env({"DATA_DIR": "a\0b"})


@pytest.mark.parametrize("started_in", ["/", "/etc", "/usr/lib", "/proc/1"])
def test_a_system_folder_is_no_root_by_default(started_in: str) -> None:
    assert Settings(data_dir=Path("/d")).effective_asset_roots(Path(started_in)) == (Path("/d/assets"),)


@pytest.mark.parametrize("root", ["/srv/d/assets", "/srv/d/assets/a", "/srv/d", "/srv", "/srv/d2"])
def test_roots_beside_and_around_the_data_folder_are_allowed(root: str) -> None:
    Settings.from_env({"DATA_DIR": "/srv/d", "PREVIEW_ASSET_ROOTS": root})


@pytest.mark.parametrize("root", ["/srv/d/previews", "/srv/d/.staging", "/srv/d/assets2"])
def test_other_folders_of_the_data_folder_are_no_roots(root: str) -> None:
    with pytest.raises(UsageError, match=f"PREVIEW_ASSET_ROOTS: found '{root}', allowed /srv/d/assets"):
        Settings.from_env({"DATA_DIR": "/srv/d", "PREVIEW_ASSET_ROOTS": f"/a:{root}"})


@pytest.mark.parametrize("variable", [*INTEGERS, *sorted(OTHERS)])
def test_an_empty_variable_counts_as_unset(variable: str) -> None:
    assert Settings.from_env({variable: ""}) == Settings()


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(UsageError, match=r"x'… \(100000 characters\), allowed") as caught:
        Settings.from_env({"PREVIEW_QUEUE_MAX": "x" * 100_000})
    assert len(caught.value.message) < 400


def test_all_problems_are_reported_at_once() -> None:
    wrong = {**dict.fromkeys(INTEGERS, "x"), "REDIS_URL": "x", "PREVIEW_QUEUE_NAME": " ", "DATA_DIR": "\0"}
    with pytest.raises(UsageError) as caught:
        Settings.from_env(wrong)
    assert all(f"{variable}: found" in caught.value.message for variable in wrong)
    assert caught.value.exit_code == 2
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"PREVIEW_HEARTBEAT_MS": "3334"}, ["PREVIEW_HEARTBEAT_MS", "PREVIEW_LEASE_MS"]),
        ({"PREVIEW_LEASE_MS": "2999"}, ["PREVIEW_HEARTBEAT_MS", "PREVIEW_LEASE_MS"]),
        ({"PREVIEW_BACKOFF_BASE_MS": "300001"}, ["PREVIEW_BACKOFF_BASE_MS", "PREVIEW_BACKOFF_MAX_MS"]),
        (
            {"PREVIEW_LEASE_MS": "2999", "PREVIEW_BACKOFF_MAX_MS": "999"},
            ["PREVIEW_LEASE_MS", "PREVIEW_BACKOFF_MAX_MS"],
        ),
    ],
)
def test_settings_that_contradict_each_other(environ: dict[str, str], named: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        Settings.from_env(environ)
    assert all(name in caught.value.message for name in named)


def test_the_table_documents_every_setting_once() -> None:
    table = Settings.table()
    variables = [variable for variable, _, _ in table]
    assert len(set(variables)) == len(variables) == len(Settings.__dataclass_fields__)
    for variable, default, meaning in table:
        assert meaning.endswith("."), variable
        assert default != "None", variable


def test_unknown_variables_are_ignored() -> None:
    environ: dict[str, Any] = {"PATH": "/bin", "PREVIEW_UNKNOWN": "1"}
    assert Settings.from_env(environ) == Settings()


def test_asset_hosts_are_patterns_and_one_invalid_host_is_an_error() -> None:
    settings = Settings.from_env({"PREVIEW_ASSET_HOSTS": "example.org, *.example.net:8080,"})
    assert [str(host) for host in settings.asset_hosts] == ["example.org", "*.example.net:8080"]
    with pytest.raises(UsageError) as caught:
        Settings.from_env({"PREVIEW_ASSET_HOSTS": "example.org,http://example.net"})
    assert "PREVIEW_ASSET_HOSTS" in caught.value.message
