"""docs/screen.md says what each column of the screen means."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from previewops.states import JobState
from previewops.tui.viewmodel.dead.rows import ALL_COLUMNS, GROUP_COLUMNS
from previewops.tui.viewmodel.events import feed
from previewops.tui.viewmodel.fleet import table
from previewops.tui.viewmodel.jobs.rows import job_columns

PAGE = (Path(__file__).parents[2] / "docs" / "screen.md").read_text()

TABLES = {
    "Jobs": {column.title for state in (None, *JobState) for column in job_columns(state)},
    "Dead letters": {column.title for column in (*GROUP_COLUMNS, *ALL_COLUMNS)},
    "Workers": {column.title for column in table.columns(differ=True)},
    "Events": {column.title for column in feed.columns(dated=True)},
}


@pytest.mark.parametrize("name", TABLES)
def test_each_column_is_described_and_each_described_one_exists(name: str) -> None:
    section = re.split(rf"^### {name}\n", PAGE, maxsplit=1, flags=re.MULTILINE)[1].partition("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", section, re.MULTILINE)
    described = {
        title for titles, _ in rows if titles not in ("column", "---") for title in titles.split(", ")
    }
    assert described == TABLES[name]
