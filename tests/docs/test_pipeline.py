"""CI pipeline, image and compose file refer to existing things. None of them runs here."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import redis
import yaml

from previewops.cli import program
from previewops.errors import EXIT_UNREACHABLE
from previewops.settings import Settings
from tests.docs.documents import ROOT
from tests.integration.cli_program import Program
from tests.process_guard import guarded_environ
from tests.redis_server import RedisProcess

PIPELINE = ROOT / ".github" / "workflows" / "ci.yml"
IMAGE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
VARIABLES = {variable for variable, *_ in Settings.table()}

PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")


def pipeline() -> dict[str, Any]:
    return dict(yaml.safe_load(PIPELINE.read_text("utf-8")))


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in pipeline()["jobs"].items():
        for step in job["steps"]:
            yield name, step


def services() -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(COMPOSE.read_text("utf-8"))["services"])


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments on one line."""
    lines = [line for line in IMAGE.read_text("utf-8").splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines()) if word
    ]


def can_be_parsed(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(click.Command, "invoke", lambda self, ctx: None)
    return program.run(arguments) == 0


def test_every_action_is_pinned_to_a_commit_with_its_version() -> None:
    used = re.findall(r"\buses: (.+)", PIPELINE.read_text("utf-8"))
    assert len(used) == sum("uses" in step for _, step in steps())
    assert [action for action in used if not PINNED.fullmatch(action)] == []
    assert len({*used}) == len({action.partition("@")[0] for action in used}), "one version of each"


def test_a_job_may_do_no_more_than_it_has_to() -> None:
    workflow = pipeline()
    assert workflow["permissions"] == {"contents": "read"}
    assert [name for name, job in workflow["jobs"].items() if "permissions" in job] == ["release"]
    assert workflow["jobs"]["release"]["environment"] == "release"
    assert workflow["jobs"]["release"]["if"] == "startsWith(github.ref, 'refs/tags/v')"
    assert {"check", "test", "wheel", "container"} <= set(workflow["jobs"]["release"]["needs"])
    for name, step in steps():
        # Values that others can choose reach scripts through the environment only.
        assert "${{" not in step.get("run", ""), (name, step)
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


def test_every_script_of_the_pipeline_is_one_and_its_targets_exist(tmp_path: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    scripts = [step["run"] for _, step in steps() if "run" in step]
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert set(re.findall(r"^make (\w+)", script, re.MULTILINE)) <= targets
    named = {path for script in scripts for path in re.findall(r"\bschemas/[\w./-]+", script)}
    assert named
    assert all((ROOT / path).exists() for path in named)


def test_every_python_and_every_server_is_tested() -> None:
    matrix = pipeline()["jobs"]["test"]["strategy"]["matrix"]
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    servers = [*matrix["server"], *(row["server"] for row in matrix["include"])]
    assert [server["name"] for server in servers] == ["Redis 7.2", "Redis 6.2", "Redis 8", "Valkey 8"]
    assert {server["program"] for server in servers} == {"redis-server", "valkey-server"}


def test_the_lowest_and_the_newest_dependencies_are_tested(capsys: pytest.CaptureFixture[str]) -> None:
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))["jobs"]["versions"]
    assert job["strategy"]["matrix"]["versions"] == ["lowest", "newest"]
    runpy.run_path(str(ROOT / ".ci" / "lowest.py"), run_name="__main__")
    constraints = capsys.readouterr().out.splitlines()
    assert "pillow==13.0.0" in constraints
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    assert len(constraints) == len(dependencies)


def test_the_gate_and_the_pipeline_install_the_same_packages() -> None:
    packages = (ROOT / ".ci" / "packages").read_text("utf-8").split()
    assert "prometheus" in packages
    assert all(re.fullmatch(r"[a-z0-9.+-]+", package) for package in packages)
    assert "<.ci/packages" in (ROOT / ".ci" / "run").read_text("utf-8")
    assert any("--arg-file .ci/packages" in step.get("run", "") for _, step in steps())


def test_the_image_uses_existing_commands_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    image = dict(instructions())
    variables = set(re.findall(r"\b([A-Z_]+)=", image["ENV"])) - {"PATH"}
    assert {name for name in variables if not name.startswith("PYTHON")} <= VARIABLES
    assert image["ENTRYPOINT"] == '["previewops"]'
    assert can_be_parsed(yaml.safe_load(image["CMD"]), monkeypatch)
    check = shlex.split(image["HEALTHCHECK"].partition("CMD ")[2].partition("||")[0])
    assert check[0] == "previewops"
    assert can_be_parsed(check[1:], monkeypatch)
    assert (image["USER"], image["STOPSIGNAL"]) == ("previewops", "SIGTERM")


@pytest.mark.redis
def test_a_container_is_unhealthy_without_redis_but_not_for_a_critical_queue(
    redis_url: str, tmp_path: Path
) -> None:
    _, *arguments = shlex.split(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2].partition("||")[0])
    assert Program(tmp_path, redis_url).run("health").code == 2, "no worker at all"
    assert Program(tmp_path, redis_url).run(*arguments).code == 0
    assert Program(tmp_path, f"unix://{tmp_path}/none.sock").run(*arguments).code == EXIT_UNREACHABLE


@pytest.mark.redis
def test_the_api_container_is_unhealthy_when_the_api_hangs(redis_url: str, tmp_path: Path) -> None:
    kind, python, *arguments = services()["api"]["healthcheck"]["test"]
    assert (kind, python) == ("CMD", "python")

    def healthy(address: str, timeout_s: str) -> bool:
        script = (
            arguments[-1]
            .replace("http://127.0.0.1:8080", address)
            .replace("timeout=5", f"timeout={timeout_s}")
        )
        assert f'"{address}/livez", timeout={timeout_s}' in script
        done = subprocess.run(
            [sys.executable, *arguments[:-1], script],
            env={"http_proxy": "http://127.0.0.1:9", **guarded_environ()},
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    with Program(tmp_path, redis_url).start("api", "--port", "0", stderr=subprocess.PIPE) as api:
        try:
            assert api.stderr is not None
            started = next(line for line in map(json.loads, api.stderr) if line["event"] == "api.started")
            assert healthy(started["addresses"][0], "60")
            api.send_signal(signal.SIGSTOP)
            assert not healthy(started["addresses"][0], "0.5")
        finally:
            api.kill()


def test_the_image_is_built_from_all_that_the_wheel_needs_and_no_more() -> None:
    lines = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert all((ROOT / name).exists() for name in kept)
    links = {path.name for path in (ROOT / "previewops").iterdir() if path.is_symlink()}
    assert kept == {"previewops", *links, "pyproject.toml", "constraints.txt", "README.md", "LICENSE"}


@pytest.mark.parametrize("name", [name for name in services() if name != "redis"])
def test_each_service_runs_a_command_with_settings_that_exist(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = services()[name]
    command, *_ = service["command"]
    if command not in program.COMMANDS:
        pytest.skip(f"this program has no command {command} yet")
    assert can_be_parsed(service["command"], monkeypatch)
    environment = {key: str(value) for key, value in service["environment"].items()}
    assert set(environment) <= VARIABLES
    Settings.from_env({key: value for key, value in environment.items() if not value.startswith("${")})
    assert int(service["stop_grace_period"].removesuffix("s")) > Settings().drain_timeout_s
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_hosts_have_names_of_their_own_and_one_data_dir() -> None:
    ours = [service for name, service in services().items() if name != "redis"]
    names = [service["hostname"] for service in ours]
    assert len(set(names)) == len(names)
    assert sum(service["command"][0] == "supervise" for service in ours) == 2
    assert {volume for service in ours for volume in service["volumes"]} == {"data:/data"}


@pytest.mark.redis
def test_the_redis_of_the_compose_file_is_fit_for_a_queue(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    _, *options = services()["redis"]["command"]
    server = redis_process(persistent=False, options=tuple(options))
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    judged = Program(tmp_path, server.url).run("health", "--json").json["checks"]
    statuses = {check["name"]: check["status"] for check in judged}
    assert (statuses["eviction"], statuses["persistence"]) == ("OK", "OK")


def test_the_servers_of_the_pipeline_and_the_compose_file_are_of_one_version() -> None:
    tested = pipeline()["jobs"]["test"]["strategy"]["matrix"]["server"][0]["image"]
    assert services()["redis"]["image"] == tested
