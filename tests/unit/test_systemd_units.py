"""Rendered units: placeholders, directives, and systemd's own verification."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from previewops.api.server import SHUTDOWN_S
from previewops.cli.reload import DEFAULT_TIMEOUT_S
from previewops.cli.systemd_units import (
    API,
    ENVIRONMENT_FILE,
    HEALTH_TIMER,
    SUPERVISOR,
    UNITS,
    HostFile,
    UnitLayout,
    next_steps,
    preflight_errors,
    render_host_files,
    system_layout,
    user_layout,
)
from previewops.errors import EXIT_CONFIG, EXIT_UNREACHABLE, EXIT_USAGE, UsageError
from previewops.settings import Settings
from previewops.supervisor.environment import read_environment_file
from previewops.supervisor.unit_hardening import hardening_properties, parse_directives

PROGRAM = ("/bin/true",)
HOME = Path("/home/ann")
SYSTEM = system_layout(PROGRAM, None)
USER = user_layout(PROGRAM, None, config_home=HOME / ".config", data_home=HOME / ".local/share")
UNDER_UNITS = ("DATA_DIR", "PREVIEW_ASSET_ROOTS")
OPTIONS = (
    "PREVIEW_SUPERVISE_OPTIONS",
    "PREVIEW_HEALTH_OPTIONS",
    "PREVIEW_PRUNE_OPTIONS",
    "PREVIEW_API_OPTIONS",
)
MOST_EXPOSED = 3.0
DROP_INS = Path(__file__).parents[2] / "deploy" / "systemd"

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze"
)


def files_of(layout: UnitLayout, version: int | None = None) -> dict[str, HostFile]:
    return {str(file.path): file for file in render_host_files(layout, systemd_version=version)}


def text_of(name: str, layout: UnitLayout = SYSTEM, version: int | None = None) -> str:
    (text,) = (file.text for path, file in files_of(layout, version).items() if path.endswith(f"/{name}"))
    return text


def values(text: str, directive: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{directive}=")]


def seconds(text: str, directive: str) -> int:
    (value,) = values(text, directive)
    return int(value.removesuffix("s"))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Writes the system units for this machine's systemd to a folder."""
    version = int(subprocess.check_output(["systemctl", "--version"], text=True).split()[1])
    for name in UNITS:
        (tmp_path / name).write_text(text_of(name, version=version))
    return tmp_path


def test_system_layout() -> None:
    units = [f"/etc/systemd/system/{name}" for name in UNITS]
    others = [
        "/etc/previewops/previewops.env",
        "/etc/sysusers.d/previewops.conf",
        "/etc/tmpfiles.d/previewops.conf",
    ]
    assert list(files_of(SYSTEM)) == units + others


def test_user_layout() -> None:
    units = [f"{HOME}/.config/systemd/user/{name}" for name in UNITS]
    assert list(files_of(USER)) == [*units, f"{HOME}/.config/previewops/previewops.env"]


def test_only_the_environment_file_is_kept_and_private() -> None:
    kept = {path: file.mode for path, file in files_of(SYSTEM).items() if file.keep}
    assert kept == {"/etc/previewops/previewops.env": 0o600}
    assert {file.mode for file in files_of(SYSTEM).values() if not file.keep} == {0o644}


@pytest.mark.parametrize("layout", [SYSTEM, USER], ids=["system", "user"])
def test_no_placeholder_is_left(layout: UnitLayout) -> None:
    for path, file in files_of(layout).items():
        assert not re.search(r"@[A-Z_]+@", file.text), path
        assert file.text.endswith("\n"), path
        assert "\n\n\n" not in file.text, path


def test_paths_are_those_of_the_layout() -> None:
    layout = system_layout(("/opt/p/bin/python", "-m", "previewops"), Path("/srv/previews"))
    text = text_of(SUPERVISOR, layout)
    assert values(text, "ExecStart") == [
        "/opt/p/bin/python -m previewops supervise --env-file /etc/previewops/previewops.env "
        "$PREVIEW_SUPERVISE_OPTIONS"
    ]
    assert "DATA_DIR=/srv/previews" in values(text, "Environment")
    assert "PREVIEW_ASSET_ROOTS=/srv/previews/assets" in values(text, "Environment")
    assert values(text, "ReadWritePaths") == ["/srv/previews"]
    assert values(text, "WorkingDirectory") == ["/srv/previews"]
    assert "/var/lib/previewops" not in "".join(file.text for file in files_of(layout).values())


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_user_units_have_no_system_only_directives(name: str) -> None:
    text = text_of(name, USER)
    for directive in ("User", "Group", "WorkingDirectory", "ProtectSystem", "CapabilityBoundingSet"):
        assert values(text_of(name), directive) != [], directive
        assert values(text, directive) == [], directive
    assert values(text, "NoNewPrivileges") == ["yes"]
    assert values(text, "EnvironmentFile") == [f"-{HOME}/.config/previewops/previewops.env"]


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_data_dir_is_mounted_first(name: str) -> None:
    assert values(text_of(name), "RequiresMountsFor") == ["/var/lib/previewops"]


@pytest.mark.parametrize(("layout", "target"), [(SYSTEM, "multi-user.target"), (USER, "default.target")])
def test_wanted_by(layout: UnitLayout, target: str) -> None:
    assert values(text_of(SUPERVISOR, layout), "WantedBy") == [target]


@pytest.mark.parametrize(("version", "known"), [(None, True), (254, True), (253, False), (252, False)])
def test_older_versions_get_no_newer_directives(version: int | None, known: bool) -> None:
    text = text_of(SUPERVISOR, version=version)
    assert bool(values(text, "RestartSteps")) is known
    assert bool(values(text, "RestartMaxDelaySec")) is known
    assert values(text, "RestartSec") == ["1s"]


@pytest.mark.parametrize("name", [SUPERVISOR, "previewops-worker@.service"])
def test_directives_of_long_running_units(name: str) -> None:
    text = text_of(name)
    assert values(text, "Type") == ["notify"]
    assert values(text, "Restart") == ["on-failure"]
    assert values(text, "RestartPreventExitStatus") == [f"{EXIT_USAGE} {EXIT_CONFIG}"]
    assert values(text, "KillMode") == ["mixed"]
    assert values(text, "OOMPolicy") == ["continue"]
    assert seconds(text, "TimeoutStopSec") >= Settings().drain_timeout_s + 10
    assert seconds(text, "WatchdogSec") <= 10
    (drain,) = re.findall(r"PREVIEW_DRAIN_TIMEOUT_S \((\d+) s\)", text)
    assert int(drain) == Settings().drain_timeout_s


@pytest.mark.parametrize("name", [SUPERVISOR, "previewops-worker@.service"])
def test_the_calls_by_which_render_processes_confine_themselves_are_permitted(name: str) -> None:
    lines = values(text_of(name), "SystemCallFilter")
    denials = [number for number, line in enumerate(lines) if line.startswith("~")]
    permitted = {call for line in lines[denials[-1] + 1 :] for call in line.split()}
    landlock = {"landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self"}
    assert (
        landlock | {"mount", "umount2", "open_tree", "move_mount", "mount_setattr", "pivot_root"} <= permitted
    )
    assert {"user", "pid", "ipc", "net", "mnt"} <= set(
        values(text_of(name), "RestrictNamespaces")[-1].split()
    )


def test_a_reload_waits_for_its_outcome() -> None:
    text = text_of(SUPERVISOR)
    assert values(text, "ExecReload") == ["/bin/true reload"]
    assert seconds(text, "TimeoutStartSec") > DEFAULT_TIMEOUT_S, "systemd's limit of a reload"


def test_directives_of_the_api_unit() -> None:
    text = text_of(API)
    assert values(text, "Type") == ["notify"]
    assert values(text, "Restart") == ["on-failure"]
    assert values(text, "RestartPreventExitStatus") == [f"{EXIT_USAGE} {EXIT_CONFIG}"]
    assert seconds(text, "TimeoutStopSec") >= SHUTDOWN_S + 10
    assert f"Longer than the {SHUTDOWN_S} s" in text
    assert int(*values(text, "LimitNOFILE")) > Settings().api_connections
    # An installation must not open the API to other hosts.
    assert not any(API in step for layout in (SYSTEM, USER) for step in next_steps(layout))
    assert values(text, "ExecStart") == ["/bin/true api $PREVIEW_API_OPTIONS"]


def test_health_unit_accepts_a_warning() -> None:
    assert values(text_of("previewops-health.service"), "SuccessExitStatus") == ["1"]


@pytest.mark.parametrize("layout", [SYSTEM, USER], ids=["system", "user"])
def test_services_wait_for_the_mount_of_data_dir(layout: UnitLayout) -> None:
    for name in UNITS:
        expected = [str(layout.data_dir)] if name.endswith(".service") else []
        assert values(text_of(name, layout), "RequiresMountsFor") == expected, name


def test_timers_start_units_that_exist_and_none_is_enabled_but_the_health_check() -> None:
    timers = [name for name in UNITS if name.endswith(".timer")]
    assert len(timers) == 3
    for name in timers:
        assert name.replace(".timer", ".service") in UNITS
        assert values(text_of(name), "WantedBy") == ["timers.target"]
        is_enabled = any(name in step for step in next_steps(SYSTEM))
        assert is_enabled is (name == HEALTH_TIMER)


def test_the_prune_removes_bundles_only_if_an_administrator_names_an_age() -> None:
    text = text_of("previewops-prune.service")
    assert values(text, "ExecStart") == ["/bin/true prune --apply $PREVIEW_PRUNE_OPTIONS"]
    assert "PREVIEW_PRUNE_OPTIONS=" in values(text, "Environment")


def test_the_metrics_file_is_in_a_folder_that_node_exporter_can_read() -> None:
    text = text_of("previewops-metrics.service")
    assert values(text, "ExecStart") == ["/bin/true metrics --textfile %t/previewops/previewops.prom"]
    assert values(text, "RuntimeDirectory") == ["previewops"]
    assert values(text, "RuntimeDirectoryMode") == ["0755"]
    assert values(text, "SuccessExitStatus") == [str(EXIT_UNREACHABLE)]


def test_the_environment_file_has_every_setting_with_its_default() -> None:
    paragraphs = text_of(ENVIRONMENT_FILE).split("\n\n")
    for variable, default, meaning in Settings.table():
        if variable == "DATA_DIR":
            continue  # of the units, not of the file
        if variable == "PREVIEW_ASSET_ROOTS":
            default = "/var/lib/previewops/assets. A value replaces it"  # noqa: PLW2901 - the units set it
        expected = f"# {meaning}\n#{variable}={default}"
        if " " in default:
            expected = f"# {meaning}\n# Default: {default}.\n#{variable}="
        assert expected in [paragraph.strip() for paragraph in paragraphs], (
            f"systemd/{ENVIRONMENT_FILE} lacks:\n{expected}"
        )


def test_the_environment_file_has_nothing_else() -> None:
    named = re.findall(r"^#([A-Z_]+)=", text_of(ENVIRONMENT_FILE), re.MULTILINE)
    settings = {variable for variable, _, _ in Settings.table()} - {"DATA_DIR"}
    assert sorted(named) == sorted([*settings, *OPTIONS])
    assert "# DATA_DIR is /var/lib/previewops, the only folder" in text_of(ENVIRONMENT_FILE)


def test_environment_file_has_the_defaults_with_and_without_comments(tmp_path: Path) -> None:
    file = tmp_path / ENVIRONMENT_FILE
    text = text_of(ENVIRONMENT_FILE)
    file.write_text(text)
    assert read_environment_file(file) == {}
    file.write_text(re.sub(r"^#([A-Z_]+=)", r"\1", text, flags=re.MULTILINE))
    environ = read_environment_file(file)
    assert environ.pop("REDIS_URL") == "redis://127.0.0.1:6379"
    assert Settings.from_env(environ) == Settings()


@pytest.mark.parametrize(
    "path", ["/srv/a b", "/srv/a%h", "/srv/a$b", '/srv/a"b', "/srv/a:b", "srv", "/srv/a\nb"]
)
def test_paths_with_special_characters_are_rejected(path: str) -> None:
    for layout in (system_layout(PROGRAM, Path(path)), system_layout((path,), None)):
        with pytest.raises(UsageError, match="allowed an absolute path") as caught:
            render_host_files(layout, systemd_version=None)
        assert repr(path) in caught.value.message


def test_paths_may_have_letters_of_any_script() -> None:
    assert "/srv/Vorschau-größe" in text_of(SUPERVISOR, system_layout(PROGRAM, Path("/srv/Vorschau-größe")))


@pytest.mark.parametrize(
    "folder", ["/home/ann/venv", "/root/.pyenv", "/run/user/1000/x", "/tmp/venv", "/home"]
)
def test_preflight_reports_hidden_folders(folder: str) -> None:
    (error,) = preflight_errors(SYSTEM, (Path("/usr"), Path(folder), Path(folder)))
    assert error.startswith(f"program folder: found {folder},")
    assert "/opt/previewops" in error
    (error,) = preflight_errors(system_layout(PROGRAM, Path(folder)), (Path("/usr"),))
    assert error.startswith(f"DATA_DIR: found {folder},")
    assert preflight_errors(USER, (Path(folder),)) == []


def test_preflight_accepts_a_plain_installation() -> None:
    assert preflight_errors(SYSTEM, (Path("/opt/previewops/venv"), Path("/usr"), Path("/homes/x"))) == []


def test_after_an_upgrade_the_next_steps_restart_what_is_enabled() -> None:
    enabled = [SUPERVISOR, "previewops-api.service"]
    assert next_steps(SYSTEM, enabled=enabled)[-2:] == [
        "systemctl daemon-reload",
        f"systemctl restart {SUPERVISOR} previewops-api.service    # running jobs may finish",
    ]
    (*_, restart) = next_steps(USER, enabled=enabled)
    assert restart.startswith(f"systemctl --user restart {SUPERVISOR} ")
    assert not any("enable" in step or "edit" in step for step in next_steps(SYSTEM, enabled=enabled))


def test_the_next_steps_name_units_that_exist() -> None:
    for layout in (SYSTEM, USER):
        (enable,) = (line for line in next_steps(layout) if " enable --now " in line)
        assert set(enable.split(" enable --now ")[1].split()) <= set(UNITS)


def test_the_drop_in_for_several_hosts_lets_jobs_end() -> None:
    text = (DROP_INS / f"{SUPERVISOR}.d" / "several-hosts.conf").read_text("utf-8")
    environ = dict(entry.split("=", 1) for entry in values(text, "Environment"))
    drain_s = Settings.from_env(environ).drain_timeout_s
    assert drain_s == Settings().job_timeout_s
    assert seconds(text, "TimeoutStopSec") >= drain_s + 10


@pytest.mark.parametrize("layout", [SYSTEM, USER], ids=["system", "user"])
@pytest.mark.parametrize("name", ["previewops-supervisor.service", "previewops-worker@.service"])
def test_shipped_and_transient_units_have_the_same_hardening(layout: UnitLayout, name: str) -> None:
    properties = hardening_properties(layout.data_dir, system=not layout.user)
    directives = parse_directives(text_of(name, layout))
    assert {"NoNewPrivileges", "SystemCallFilter"} <= {directive for directive, _ in properties}
    names = {directive for directive, _ in properties}
    assert sorted(entry for entry in directives if entry[0] in names) == sorted(properties)


@needs_analyze
def test_systemd_analyze_accepts_the_units(here: Path) -> None:
    shutil.copytree(DROP_INS / f"{SUPERVISOR}.d", here / f"{SUPERVISOR}.d")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(here / name) for name in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs_analyze
@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_systemd_analyze_security_score(here: Path, name: str) -> None:
    output = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", str(here / name)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (score,) = re.findall(r"Overall exposure level for .*: ([0-9.]+) ", output)
    assert float(score) <= MOST_EXPOSED, output
