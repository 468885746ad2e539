"""Targets of fleet commands, and text of their dialogs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.snapshot.fleet import WorkerCountRange
from previewops.tui.viewmodel.fleet import command_targets, table
from previewops.tui.viewmodel.fleet.command_targets import (
    CommandTarget,
    check_worker_range,
    count_surplus_workers,
    find_target,
    format_confirmation_lines,
    scalable_supervisor,
)
from previewops.tui.viewmodel.spans import plain_text
from tests.tui.scenes import BUSY, SUPERVISORS, TROUBLED

POSTS = table.fleet_rows(BUSY)
HOST_1, WORKER, _, HOST_2, _, DRAINING, NAMELESS = POSTS


def test_a_worker_row_targets_that_worker() -> None:
    expected = CommandTarget("drain", "render-1-3990", "render-1", "render-1-4001-0001", 1, 2)
    assert find_target("drain", WORKER, POSTS) == expected
    assert expected.label == "render-1-4001-0001"


def test_a_heading_targets_the_host_and_counts_affected_workers() -> None:
    drain = find_target("drain", HOST_2, POSTS)
    assert drain == CommandTarget(
        "drain", "render-2-3990", "render-2", "", 2, 2
    )  # the draining one is not drained again
    assert drain is not None
    assert drain.label == "2 workers of render-2"
    reset = find_target("reset", HOST_2, POSTS)
    assert reset is not None
    assert (reset.worker_id, reset.affected) == ("", 2)


@pytest.mark.parametrize(
    ("act", "post"),
    [("reset", WORKER), ("drain", DRAINING), ("restart", DRAINING), ("reset", HOST_1), ("drain", NAMELESS)],
)
def test_a_command_without_effect_has_no_target(act: str, post: table.FleetRow) -> None:
    assert find_target(act, post, POSTS) is None


def test_a_place_without_a_name_is_reset_through_its_host() -> None:
    target = find_target("reset", NAMELESS, POSTS)
    assert target is not None
    assert (target.supervisor_id, target.worker_id) == ("render-2-3990", "")


def test_a_silent_supervisor_is_not_a_target() -> None:
    posts = table.fleet_rows(TROUBLED)
    deaf = [post for post in posts if post.host in ("render-3", "render-4")]
    assert len(deaf) == 5
    for post in (None, *deaf):
        assert scalable_supervisor(post) is None
        assert all(find_target(act, post, posts) is None for act in ("drain", "restart", "reset"))


def test_confirmation_lines_per_command() -> None:
    one = find_target("drain", WORKER, POSTS)
    many = find_target("restart", HOST_1, POSTS)
    assert one is not None
    assert many is not None
    assert command_targets.join_text(format_confirmation_lines(one)) == (
        "It finishes its 2 jobs, claims no more, and stays stopped until it is reset."
    )
    assert [plain_text(line) for line in format_confirmation_lines(many)] == [
        "Restart 2 workers of render-1, at 3 jobs now?",
        "One after the other is replaced. Each finishes its jobs first.",
    ]


def test_an_invalid_worker_count_is_rejected() -> None:
    assert check_worker_range("1-8") == check_worker_range("0") == ""
    assert check_worker_range("300") == (
        "found '300', allowed is a number or a range like 4 or 1-8, from 0 to 256"
    )
    assert check_worker_range("").startswith("allowed is a number or a range")


def test_fewer_workers_than_run_have_some_go() -> None:
    view = SUPERVISORS[0]
    assert [count_surplus_workers(view, WorkerCountRange(0, most)) for most in (0, 1, 2, 8)] == [2, 1, 0, 0]
    message = "".join(
        plain_text(line) for line in command_targets.format_scale_down_lines(view, WorkerCountRange(0, 1))
    )
    assert message == "1 worker of render-1 will finish its jobs and exit."
    assert "1 to 8 by load; current target: 2" in command_targets.scale_prompt(view)
    fixed = replace(view, state=replace(view.state, worker_range=WorkerCountRange(2, 2)))
    assert "Now: 2;" in command_targets.scale_prompt(fixed)
