"""Limits of projects as PREVIEW_PROJECT_LIMITS writes them."""

from __future__ import annotations

import pytest

from previewops.errors import UsageError
from previewops.project_limits import MAX_NAMED, ProjectLimits, is_project, parse_project_limits
from previewops.settings import Settings


def test_limits_name_projects_weights_and_maxima() -> None:
    parsed = parse_project_limits("shop=weight:3,active:4; *=active:8 ;plain=weight:1;big=active:none")
    assert parsed == (
        ("shop", ProjectLimits(3, 4)),
        ("*", ProjectLimits(None, 8)),
        ("plain", ProjectLimits(1, None)),
        ("big", ProjectLimits(None, 0)),
    )
    written = ";".join(f"{name}={limits}" for name, limits in parsed)
    assert parse_project_limits(written) == parsed


@pytest.mark.parametrize(
    "raw",
    [
        *("shop", "shop=", "shop=3", "shop=weight", "shop=weight:", "shop=weight:0", "shop=weight:101"),
        *("shop=weight:none", "shop=weight:-1", "shop=weight:1.5", "shop=active:0", "shop=active:1000001"),
        *("shop=active:99999999999999999999", "shop=weight:1,weight:2", "shop=colour:1", "=weight:1"),
        *("a b=weight:1", "a..b=weight:1", "a.=weight:1", "**=weight:1", "a=weight:1;a=active:2"),
        f"{'x' * 129}=weight:1",
        ";".join(f"p{number}=weight:2" for number in range(MAX_NAMED + 1)),
    ],
)
def test_invalid_limits_are_rejected_with_an_example(raw: str) -> None:
    assert parse_project_limits(raw) is None
    with pytest.raises(
        UsageError, match=r"PREVIEW_PROJECT_LIMITS: found .* shop=weight:3,active:4;\*=active:8"
    ):
        Settings.from_env({"PREVIEW_PROJECT_LIMITS": raw})


def test_the_setting_is_empty_by_default() -> None:
    assert Settings().project_limits == Settings.from_env({}).project_limits == ()
    assert Settings.from_env({"PREVIEW_PROJECT_LIMITS": " ; "}).project_limits == ()


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("a", True),
        ("a.b-c_d", True),
        ("x" * 128, True),
        ("", False),
        ("*", False),
        ("-a", False),
        ("a\n", False),
    ],
)
def test_projects_are_those_of_payloads(name: str, valid: bool) -> None:
    assert is_project(name) is valid
