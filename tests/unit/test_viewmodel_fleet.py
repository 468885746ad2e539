"""The table of workers and the details of a row."""

from __future__ import annotations

from dataclasses import replace

import pytest

from previewops.snapshot.fleet import SupervisedWorker
from previewops.snapshot.hosts import Fleet
from previewops.snapshot.model import Snapshot
from previewops.tui.state.queue_view import QueueView
from previewops.tui.viewmodel.fleet import detail, table
from previewops.tui.viewmodel.fleet.table import FleetRow
from previewops.tui.viewmodel.overview.panels import format_worker_lines
from previewops.tui.viewmodel.queue_status import queue_status
from previewops.tui.viewmodel.spans import plain_text, width_of
from tests.tui import scenes
from tests.tui.scenes import BUSY, IDLE, NOW_MS, SUPERVISORS, TROUBLED, WORKERS


def row(post: FleetRow, snapshot: Snapshot) -> str:
    differ = len(table.versions(snapshot)) > 1
    runs = table.runs_by_id(snapshot.running_jobs)
    fleet = Fleet.of(snapshot.workers)
    cells = table.cells(post, snapshot.now_ms, runs, fleet, differ=differ)
    return " | ".join(plain_text(cell) for cell in cells)


def table_rows(snapshot: Snapshot) -> list[str]:
    return [row(post, snapshot) for post in table.fleet_rows(snapshot)]


GAUGES = "cpu ▄▅▆▅▄▅▆▅▄▅ 62%  mem 44%  load 2.6  disk 92%"


def detail_text(post: FleetRow, snapshot: Snapshot, columns: int = 100) -> str:
    among = table.fleet_rows(snapshot)
    jobs = detail.jobs_of(post, snapshot, among)
    lines = detail.format_detail_lines(post, jobs, snapshot, table.runs_by_id(snapshot.running_jobs), columns)
    assert all(width_of(line) <= columns for line in lines)
    return "\n".join(plain_text(line) for line in lines)


def test_hosts_are_headings_over_their_workers() -> None:
    rows = table_rows(BUSY)
    assert [line.split(" | ")[0].strip() for line in rows] == [
        f"● render-1  running  {GAUGES}  2 wanted (1 to 8)  store works  clock ±0 s  6 layers"
        "  0.1.0  process  40 MiB",
        "● 4001-0001",
        "● 4002-0002",
        f"● render-2  running  {GAUGES}  3 wanted (1 to 8)  store works  clock ±0 s  6 layers"
        "  0.1.0  process  40 MiB",
        "● 4003-0003",
        "◐ 4004-0004",
        "✖ worker 3",
    ]


def test_worker_rows_have_state_slots_figures_and_jobs() -> None:
    assert table_rows(BUSY)[1] == (
        "  ● 4001-0001 | 4001 | working | ■■ | ▇▆▅█▇▆▅█▇▆    17 | 122% | 187 MiB | 3 h | 11.3k | 32 | "
        "▊··· lesson-10  ███▎ lesson-11"
    )


def test_an_empty_slot_shows_the_reason() -> None:
    assert table_rows(BUSY)[-1] == "  ✖ worker 3 | - | given up | exit status 78: module PIL is missing"


def test_summary_of_a_fleet_with_problems() -> None:
    rows = table_rows(TROUBLED)
    assert rows[0].startswith("● render-1  running  the reload ")
    assert "allowed a whole number from 1 to 256; the old settings remain  cpu" in rows[0]
    assert "7/12" in rows[1]
    assert "silent 12 s" in rows[2]
    assert rows[7].startswith("▲ render-4  silent 40 s")
    assert "no heartbeat" in rows[8]
    assert "backing off | killed by SIGSEGV" in rows[9]
    assert rows[10] == "▲ render-3  without a supervisor  store works  clock ±0 s  6 layers  0.0.9"
    assert rows[11].startswith("  ● 4009-0009 | 4009 | working | ■□ | ")


def test_a_host_that_differs_is_marked() -> None:
    headings = [line for line in table_rows(scenes.UNEQUAL) if "wanted" in line or "without a" in line]
    assert headings == [
        f"● render-1  running  store 3fa85f  {GAUGES}  2 wanted (1 to 8)"
        "  clock ±0 s  6 layers  0.1.0  process  40 MiB",
        "● render-2  running  store fails 3 min  store 3fa85f  clock -61 s  no Landlock"
        f"  {GAUGES}  3 wanted (1 to 8)  0.1.0  process  40 MiB",
        "▲ render-3  without a supervisor  store b07c1d  clock ±0 s  6 layers  0.0.9",
    ]
    text = detail_text(table.fleet_rows(scenes.UNEQUAL)[3], scenes.UNEQUAL)
    assert "✖ Cannot publish for 3 min: No space left on device" in text
    assert "store /srv/data/previews (3fa85f)" in text
    assert "without Landlock: the kernel is older than 5.13" in text
    well = detail_text(table.fleet_rows(scenes.UNEQUAL)[1], scenes.UNEQUAL)
    assert "store works: /srv/data/previews (3fa85f)" in well


def test_a_worker_that_reports_nothing_of_its_host_shows_nothing() -> None:
    old = replace(WORKERS[0], confined_by=(), clock_ahead_ms=None, store=None, version="")
    snapshot = replace(BUSY, workers=(old,), supervisors=(SUPERVISORS[0],))
    assert table_rows(snapshot)[0] == f"● render-1  running  {GAUGES}  2 wanted (1 to 8)  process  40 MiB"
    assert "store" not in detail_text(table.fleet_rows(snapshot)[0], snapshot)


def test_versions_have_a_column_only_where_they_differ() -> None:
    assert table.versions(BUSY) == {"0.1.0"}
    assert table.versions(TROUBLED) == {"0.1.0", "0.0.9"}
    titles = [column.title for column in table.columns(differ=True)]
    assert set(titles) - {column.title for column in table.columns(differ=False)} == {"version"}
    assert " 0.0.9 |" in table_rows(TROUBLED)[11]


def test_unsupervised_workers_are_grouped_by_host() -> None:
    unsupervised = tuple(replace(scenes.LONE, worker_id=f"{host}-7", host=host) for host in ("b", "a", "a-1"))
    rows = table_rows(replace(BUSY, supervisors=(), workers=unsupervised))
    assert [line.split(" | ")[0].strip() for line in rows] == [
        "▲ a  without a supervisor  store works  clock ±0 s  6 layers  0.0.9",
        "● 7",
        "▲ a-1  without a supervisor  store works  clock ±0 s  6 layers  0.0.9",
        "● 7",
        "▲ b  without a supervisor  store works  clock ±0 s  6 layers  0.0.9",
        "● 7",
    ]


def test_a_worker_that_another_supervisor_has_taken_over_stands_there_once() -> None:
    old = replace(SUPERVISORS[0], supervisor_id="render-1-1", silent=True)
    posts = table.fleet_rows(replace(BUSY, supervisors=(old, *SUPERVISORS)))
    assert [post.worker_id for post in posts].count(WORKERS[0].worker_id) == 1
    assert len({post.key for post in posts}) == len(posts)


def test_phases_and_states_as_text() -> None:
    def state_text(phase: str, **changes: object) -> str:
        place = SupervisedWorker("w", 1, phase, 7, 0, "")
        worker = replace(WORKERS[0], **changes) if changes.pop("there", True) else None  # type: ignore[arg-type]
        return table.row_state(FleetRow("k", "h", SUPERVISORS[0], place, worker), NOW_MS)[1]

    assert state_text("running") == "working"
    assert state_text("running", busy=0) == "idle"
    assert state_text("draining") == state_text("running", state="draining") == "draining"
    assert state_text("starting", there=False) == "starting"
    assert state_text("running", there=False) == "no heartbeat"
    assert [state_text(phase, there=False) for phase in table.STOPPED_PHASES] == [
        "drained",
        "backing off",
        "given up",
    ]
    assert state_text("running", heartbeat_ms=NOW_MS - 70_000) == "silent 1 min"


def test_the_summary_counts_problems() -> None:
    assert table.summary(BUSY) == "4 workers · 5 of 8 slots busy · 1 given up"
    expected = "4 workers · 10 of 18 slots busy · 1 silent · 1 given up · versions differ"
    assert table.summary(TROUBLED) == expected
    assert table.summary(scenes.UNEQUAL).endswith(" · versions differ · stores differ")


def test_no_workers_shows_how_to_start_some() -> None:
    assert table.fleet_rows(scenes.EMPTY) == ()
    text_shown = "\n".join(
        plain_text(line) for line in table.format_empty_lines(replace(BUSY, workers=(), supervisors=()))
    )
    assert "1,430 jobs pending, and no worker to claim them." in text_shown
    assert "previewops supervise" in text_shown


def test_running_jobs_come_first() -> None:
    text = detail_text(table.fleet_rows(TROUBLED)[1], TROUBLED)
    lines = text.splitlines()
    assert lines[0] == "● working  7 of 12 slots busy"
    assert "lesson-10" in lines[2]
    assert "morris" in lines[2]
    assert "frames" in lines[2]
    assert "20%" in lines[2]
    assert "2 failures, 1 crash" in lines[2]
    assert "11,321 done, 32 failed in 3 h" in text
    assert "pid 4001 on render-1, version 0.1.0" in text


def test_narrow_details_keep_the_job_and_its_progress() -> None:
    lines = detail_text(table.fleet_rows(TROUBLED)[1], TROUBLED, 48).splitlines()
    assert "lesson-10" in lines[2]
    assert "20%" in lines[2]
    assert "morris" not in lines[2]


def test_a_host_lists_the_jobs_of_all_its_workers() -> None:
    host = table.fleet_rows(BUSY)[0]
    text = detail_text(host, BUSY)
    assert "2 running" in text
    assert "4002-0002" in next(line for line in text.splitlines() if "lesson-20" in line)
    assert detail.title_of(host) == "render-1-3990"


def test_a_fatal_worker_shows_what_to_do() -> None:
    text = detail_text(table.fleet_rows(BUSY)[-1], BUSY, 120)
    assert text.splitlines()[0] == "✖ given up: exit status 78: module PIL is missing"
    assert "exited 5 times" in text
    assert "reset it" in text


@pytest.mark.parametrize(("rapid_exits", "state"), [(4, "backing off"), (5, "failing")])
def test_a_worker_whose_starts_keep_failing_is_marked(rapid_exits: int, state: str) -> None:
    slot = SupervisedWorker("w", 1, "backoff", None, rapid_exits, "status 69")
    supervisor = replace(SUPERVISORS[0], state=replace(SUPERVISORS[0].state, workers=(slot,)))
    snapshot = replace(BUSY, supervisors=(supervisor,), workers=())
    row = table.fleet_rows(snapshot)[1]
    assert table.row_state(row, snapshot.now_ms)[1] == state
    status = queue_status(QueueView().with_snapshot(replace(snapshot, workers=BUSY.workers)))
    assert (status.headline == "1 worker failing") == (state == "failing")


def test_a_silent_worker_or_supervisor_shows_the_consequences() -> None:
    posts = table.fleet_rows(TROUBLED)
    assert "commands do not reach it" in detail_text(posts[7], TROUBLED)
    assert "accepts no commands" in detail_text(posts[9], TROUBLED)
    assert "values are those of the last heartbeat" in detail_text(posts[2], TROUBLED)
    assert "previewops worker" in detail_text(posts[10], TROUBLED)


def test_untrusted_text_has_no_control_sequences() -> None:
    evil = "\x1b[2J"
    state = replace(SUPERVISORS[0].state, host=evil, notice=evil, backend=evil, state=evil, version=evil)
    place = SupervisedWorker(f"w{evil}", 9, "fatal", None, 1, evil)
    state = replace(state, workers=(*state.workers, place))
    store = replace(scenes.STORE, store_id=evil, location=evil, problem=evil)
    layers = (evil, *scenes.LAYERS[1:])
    worker = replace(
        WORKERS[0],
        jobs=(evil,),
        version=evil,
        host=evil,
        store=store,
        confined_by=layers,
        confinement_missing=(evil,),
    )
    run = replace(scenes.RUNS[0], job_id=evil, project_id=evil, phase=evil)
    snapshot = replace(
        BUSY,
        supervisors=(replace(SUPERVISORS[0], state=state),),
        workers=(worker, replace(worker, worker_id=evil, store=replace(store, store_id="b"))),
        running_jobs=(run,),
    )
    posts = table.fleet_rows(snapshot)
    text = "".join(row(post, snapshot) + detail_text(post, snapshot).replace("\n", "") for post in posts)
    assert text.isprintable()


def test_a_drained_host_looks_unlike_an_idle_one() -> None:
    slots = tuple(
        replace(slot, phase="exited", reason="drained by ada: disks") for slot in SUPERVISORS[0].state.workers
    )
    drained = replace(SUPERVISORS[0], state=replace(SUPERVISORS[0].state, workers=slots))
    snapshot = replace(BUSY, supervisors=(drained,), workers=())
    heading, *rows = table.fleet_rows(snapshot)
    assert plain_text(
        table.format_heading_line(heading, snapshot.now_ms, Fleet.of(snapshot.workers))
    ).startswith("▲ render-1  drained")
    idle = table.row_state(table.fleet_rows(IDLE)[1], IDLE.now_ms)
    assert {table.row_state(row, snapshot.now_ms)[1] for row in rows} == {"drained"}
    assert table.row_state(rows[0], snapshot.now_ms)[0] != idle[0], "the glyphs differ"
    overview = "\n".join(
        map(
            plain_text,
            format_worker_lines(QueueView().with_snapshot(replace(BUSY, supervisors=(drained,))), 60, 8),
        )
    )
    assert "2 drained" in overview
