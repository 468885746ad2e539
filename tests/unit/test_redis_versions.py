"""Known vulnerabilities by version of the server."""

from __future__ import annotations

import pytest

from previewops.server_versions import FIXED_IN, TABLE_DATE, ServerVersion
from tests.docs.documents import ROOT, table


@pytest.mark.parametrize(
    ("product", "numbers", "fixed_in", "unmaintained"),
    [
        ("Redis", (6, 2, 14), "6.2.24", False),
        ("Redis", (6, 2, 24), None, False),
        ("Redis", (7, 0, 15), None, True),
        ("Redis", (7, 4, 10), "7.4.11", False),
        ("Redis", (8, 0, 6), None, True),
        ("Redis", (8, 10, 0), "8.10.1", False),
        ("Redis", (8, 12, 0), None, False),
        ("Valkey", (9, 1, 1), "9.1.2", False),
        ("Valkey", (9, 1, 2), None, False),
        ("Valkey", (10, 0, 0), None, False),
    ],
)
def test_vulnerable_versions_name_the_release_that_fixes_them(
    product: str, numbers: tuple[int, int, int], fixed_in: str | None, unmaintained: bool
) -> None:
    version = ServerVersion(product, numbers)
    assert (version.fixed_in, version.unmaintained) == (fixed_in, unmaintained)
    assert (fixed_in or "") in version.describe()
    assert ("no more releases" in version.describe()) is unmaintained


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"redis_version": "7.0.15"}, "Redis 7.0.15"),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}, "Valkey 9.1.2"),
        ({"redis_version": "unknown"}, "None"),
        ({"redis_version": "255.255.255"}, "Redis 255.255.255"),
        ({"redis_version": 7}, "None"),
        ({}, "None"),
    ],
)
def test_the_version_is_read_from_the_server(info: dict[str, object], expected: str) -> None:
    assert str(ServerVersion.from_info(info)) == expected


def test_the_page_has_the_same_table() -> None:
    page = ROOT / "docs" / "redis.md"
    assert dict(table(page, "## Known vulnerabilities")) == {
        product: ", ".join(f"{major}.{minor}.{patch}" for (major, minor), patch in series.items())
        for product, series in FIXED_IN.items()
    }
    assert f"on {TABLE_DATE})" in page.read_text("utf-8")
