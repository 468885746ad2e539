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
    made = Machine()
    try:
        made.start()
        made.run(str(PREVIEWOPS), "systemd", "install")
        made.run("systemd-sysusers", "previewops.conf")
        made.run("systemd-tmpfiles", "--create", "previewops.conf")
        made.systemctl("daemon-reload")
        yield made
    finally:
        made.stop()


@pytest.fixture
def machine(booted: Machine) -> Iterator[Machine]:
    """The machine, without running units before and after a test."""
    yield booted
    booted.systemctl("stop", "previewops-*")
    booted.systemctl("reset-failed")
    assert booted.attempt("pgrep", "--count", "--euid", "previewops").stdout.strip() == "0"
