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
from urllib.parse import parse_qsl, urlsplit

import click
import pytest
import redis
import yaml

from previewops.cli import program
from previewops.settings import Settings
from tests.docs.documents import ROOT
from tests.integration.cli_program import Program
from tests.process_guard import guarded_environ
from tests.redis_server import RedisProcess

PIPELINE = ROOT / ".github" / "workflows" / "ci.yml"
IMAGE = ROOT / "Dockerfile"
COMPOSE = ROOT / "compose.yaml"
SEVERAL_HOSTS = ROOT / "compose.several-hosts.yaml"
VARIABLES = {variable for variable, *_ in Settings.table()}

PINNED = re.compile(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)")


def pipeline() -> dict[str, Any]:
    return dict(yaml.safe_load(PIPELINE.read_text("utf-8")))


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in pipeline()["jobs"].items():
        for step in job["steps"]:
            yield name, step


def services(file: Path = COMPOSE) -> dict[str, dict[str, Any]]:
    return dict(yaml.safe_load(file.read_text("utf-8"))["services"])


def own_services() -> list[tuple[Path, str]]:
    """Returns the services of both compose files that run this program, each with its file."""
    return [
        (file, name)
        for file in (COMPOSE, SEVERAL_HOSTS)
        for name, service in services(file).items()
        if service["image"] == "previewops"
    ]


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
    azurite = re.search(r"azurite@[0-9.]+", (ROOT / ".ci" / "run").read_text("utf-8"))
    assert azurite is not None
    assert any(azurite[0] in step.get("run", "") for _, step in steps())


def test_the_image_uses_existing_commands_and_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    image = dict(instructions())
    variables = set(re.findall(r"\b([A-Z_]+)=", image["ENV"])) - {"PATH"}
    assert {name for name in variables if not name.startswith("PYTHON")} <= VARIABLES
    assert image["ENTRYPOINT"] == '["previewops"]'
    assert can_be_parsed(yaml.safe_load(image["CMD"]), monkeypatch)
    program_name, *check = health_check()
    assert program_name == "previewops"
    assert can_be_parsed(check, monkeypatch)
    assert image["STOPSIGNAL"] == "SIGTERM"


def health_check() -> list[str]:
    return list(json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2]))


def test_the_user_of_the_image_is_a_number_that_is_its_own() -> None:
    image = dict(instructions())
    uid, gid = image["USER"].split(":")
    commands = [rest for word, rest in instructions() if word == "RUN"]
    assert any(f"--uid {uid} --gid {gid} " in command for command in commands)
    assert any(f"groupadd --system --gid {gid} previewops" in command for command in commands)


def test_the_extras_of_the_image_exist() -> None:
    (extras,) = (rest.partition("=")[2] for word, rest in instructions() if rest.startswith("EXTRAS="))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert {*extras.split(",")} <= {*project["optional-dependencies"]}


@pytest.mark.redis
def test_a_container_is_healthy_while_its_process_makes_progress(redis_url: str, tmp_path: Path) -> None:
    _, *check = health_check()
    container = Program(tmp_path, redis_url)
    assert container.run(*check).code == 1, "nothing runs"
    with container.start("api", "--port", "0", stderr=subprocess.PIPE) as api:
        try:
            assert api.stderr is not None
            next(line for line in map(json.loads, api.stderr) if line["event"] == "api.started")
            assert container.run("health").code == 2, "no worker at all"
            assert container.run(*check).code == 0
        finally:
            api.kill()
    assert container.run(*check).code == 1


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


@pytest.mark.parametrize(
    ("file", "name"), own_services(), ids=lambda value: str(getattr(value, "name", value))
)
def test_each_service_runs_a_command_with_settings_that_exist(
    file: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = services(file)[name]
    assert can_be_parsed(service["command"], monkeypatch)
    assert int(service["stop_grace_period"].removesuffix("s")) > Settings().drain_timeout_s
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    environment = {key: str(value) for key, value in service["environment"].items()}
    assert {key for key in environment if not key.startswith("AWS_")} <= VARIABLES
    Settings.from_env({key: value for key, value in environment.items() if not value.startswith("${")})


def test_the_servers_of_several_hosts_are_those_that_the_settings_name() -> None:
    run = services(SEVERAL_HOSTS)
    api = run["api"]["environment"]
    nodes, _, name = api["REDIS_URL"].removeprefix("redis+sentinel://").partition("/")
    sentinels = [node.removesuffix(":26379") for node in nodes.split(",")]
    assert [service for service in run if service.startswith("sentinel-")] == sentinels
    assert f"sentinel monitor {name} redis-1 6379 2" in run["sentinel-1"]["command"][-1]
    store = urlsplit(api["PREVIEW_STORE"])
    assert store.netloc == run["bucket"]["environment"]["S3_BUCKET"]
    endpoint = urlsplit(dict(parse_qsl(store.query))["endpoint"])
    assert endpoint.hostname == "bucket"
    assert f":{endpoint.port}/" in run["bucket"]["healthcheck"]["test"][-1]
    for service in run.values():
        assert {*service.get("depends_on", ())} <= {*run}
        volumes = yaml.safe_load(SEVERAL_HOSTS.read_text("utf-8"))["volumes"]
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= {*volumes}


def test_hosts_have_names_of_their_own_and_one_data_dir() -> None:
    ours = [services()[name] for file, name in own_services() if file == COMPOSE]
    names = [service["hostname"] for service in ours]
    assert len(set(names)) == len(names)
    assert sum(service["command"][0] == "supervise" for service in ours) == 2
    assert {volume for service in ours for volume in service["volumes"]} == {"data:/data"}


def written_configuration(service: dict[str, Any], folder: Path) -> Path:
    """Runs a service's command with a server that only shows its file, and returns that file.

    The other servers' names are this machine's.
    """
    folder.mkdir()
    shown = folder / "redis-server"
    shown.write_text('#!/bin/sh\nprintf "%s" "$1"\n')
    shown.chmod(0o755)
    *shell, script = service["command"]
    script = script.replace("/data", str(folder)).replace("$$", "$")
    script = re.sub(r"(replicaof|monitor previews) redis-1", r"\1 127.0.0.1", script)
    environ = {"PATH": f"{folder}:/usr/bin:/bin", **service["environment"], **guarded_environ()}
    done = subprocess.run([*shell, script], env=environ, capture_output=True, text=True, check=True)
    again = subprocess.run([*shell, script], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == again.stdout
    return Path(done.stdout)


def judge_persistence(server: RedisProcess, folder: Path) -> None:
    with redis.Redis.from_url(server.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    judged = Program(folder, server.url).run("health", "--json").json["checks"]
    statuses = {check["name"]: check["status"] for check in judged}
    assert (statuses["eviction"], statuses["persistence"]) == ("OK", "OK")


@pytest.mark.redis
def test_the_redis_of_the_compose_file_is_fit_for_a_queue(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    _, *options = services()["redis"]["command"]
    judge_persistence(redis_process(persistent=False, options=tuple(options)), tmp_path)


@pytest.mark.redis
def test_the_redis_servers_of_several_hosts_are_fit_for_a_queue(
    redis_process: Callable[..., RedisProcess], tmp_path: Path
) -> None:
    run = services(SEVERAL_HOSTS)
    files = {
        name: written_configuration(run[name], tmp_path / name) for name in ("redis-1", "redis-2", "redis-3")
    }
    texts = {name: file.read_text() for name, file in files.items()}
    assert "replicaof" not in texts["redis-1"]
    for name in ("redis-2", "redis-3"):
        assert f"replica-announce-ip {name}\nreplicaof 127.0.0.1 6379\n" in texts[name]
    # Without replicas the primary would reject writes, as it is to.
    alone = texts["redis-1"].replace("min-replicas-to-write 1\n", "").splitlines()
    options = [word for line in alone if not line.startswith("dir ") for word in f"--{line}".split()]
    judge_persistence(redis_process(persistent=False, options=tuple(options)), tmp_path)


@pytest.mark.redis
def test_a_sentinel_of_several_hosts_starts_and_names_the_primary(tmp_path: Path) -> None:
    service = services(SEVERAL_HOSTS)["sentinel-1"]
    assert service["environment"] == {"NODE": "sentinel-1"}
    file = written_configuration({**service, "environment": {"NODE": "127.0.0.1"}}, tmp_path / "sentinel")
    as_sentinel = f'exec "$0" {shlex.quote(str(file))} --sentinel "$@"'
    server = RedisProcess(persistent=False, prefix=("/bin/sh", "-c", as_sentinel))
    try:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            address = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "previews")
        assert address == [b"127.0.0.1", b"6379"]
    finally:
        server.remove()


def test_the_servers_of_the_pipeline_and_the_compose_files_are_of_one_version() -> None:
    tested = pipeline()["jobs"]["test"]["strategy"]["matrix"]["server"][0]["image"]
    images = {
        service["image"]
        for file in (COMPOSE, SEVERAL_HOSTS)
        for service in services(file).values()
        if service["image"].startswith("redis:")
    }
    assert images == {tested}
