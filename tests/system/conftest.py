"""The one machine of these tests, and its state between them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.system.machine import PREVIEWOPS, Machine, why_not


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    """A machine with previewops installed for systemd, as its administrator would."""
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
    """The machine, at rest before and after."""
    yield booted
    booted.systemctl("stop", "previewops-*")
    booted.systemctl("reset-failed")
    assert booted.attempt("pgrep", "--count", "--euid", "previewops").stdout.strip() == "0"
