"""The machine of these tests, and its reset between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.machine import PREVIEWOPS, Machine, why_not


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """A machine on which previewops is installed for systemd."""
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no systemd can be booted here: {reason}")
    new_machine = Machine()
    try:
        new_machine.start()
        new_machine.run(str(PREVIEWOPS), "systemd", "install")
        new_machine.run("systemd-sysusers", "previewops.conf")
        new_machine.run("systemd-tmpfiles", "--create", "previewops.conf")
        new_machine.systemctl("daemon-reload")
        yield new_machine
    finally:
        new_machine.stop()


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine, without running units before and after a test."""
    yield booted
    booted.systemctl("stop", "previewops-*")
    booted.systemctl("reset-failed")
    assert booted.attempt("pgrep", "--count", "--euid", "previewops").stdout.strip() == "0"
