"""The health screen's lines."""

from __future__ import annotations

from dataclasses import replace

from previewops.health import Check, Health, PerfdataValue, Status
from previewops.queue.webhook_messages import WebhookList
from previewops.snapshot.silences import Silence
from previewops.tui.state.queue_view import ConnectionLoss, QueueView
from previewops.tui.viewmodel.health import checks, silences
from previewops.tui.viewmodel.health.webhooks import format_webhook_lines
from previewops.tui.viewmodel.spans import plain_text, width_of
from tests.tui.scenes import FULL_HEALTH, NOW_MS, WELL

HOUR_MS = 3_600_000


def verdict(picture: QueueView, columns: int = 100) -> list[str]:
    return [plain_text(line).strip() for line in checks.format_verdict_lines(picture, columns)]


def rows(health: Health | None, columns: int = 120) -> list[str]:
    lines = [line for _, block in checks.format_check_blocks(health, NOW_MS, columns) for line in block]
    assert all(width_of(line) <= columns for line in lines)
    return [plain_text(line) for line in lines]


def test_verdict_lines_start_with_the_result() -> None:
    assert verdict(QueueView(health=FULL_HEALTH)) == [
        "✖ CRITICAL: the queue needs help now  1 critical, 1 unknown, 2 warnings, 9 OK"
    ]
    assert verdict(QueueView(health=WELL)) == ["✓ OK: the queue is healthy  9 OK"]


def test_counts_that_do_not_fit_beside_the_result_are_below_it() -> None:
    lines = verdict(QueueView(health=FULL_HEALTH), 78)
    assert lines == ["✖ CRITICAL: the queue needs help now", "1 critical, 1 unknown, 2 warnings, 9 OK"]


def test_no_failed_webhook_is_not_marked_as_a_failure() -> None:
    none = WebhookList(0, ())
    lines = [plain_text(line) for line in format_webhook_lines(none, none)]
    assert lines == ["✓ 0 failed for good", "", "○ 0 to be sent"]


def test_verdict_lines_without_a_result() -> None:
    assert verdict(QueueView()) == ["○ The queue's health is not known yet."]
    assert rows(None) == ["no results yet"]


def test_a_lost_connection_comes_before_older_results() -> None:
    connection_loss = QueueView(connection_loss=ConnectionLoss("refused", 3))
    assert verdict(connection_loss) == ["✖ connection lost: refused (try 3)"]
    later = verdict(replace(connection_loss, health=WELL))
    assert later[:2] == ["✖ connection lost: refused (try 3)", "The results below are from before that."]
    assert later[2].startswith("✓ OK")


def test_failed_checks_come_first_with_advice() -> None:
    lines = rows(FULL_HEALTH)
    assert [line[:2] for line in lines if line[0] != " "] == ["✖ ", "? ", "▲ ", "▲ ", *["✓ "] * 9]
    assert "oldest-waiting" in lines[0]
    assert "412 s" in lines[0]
    assert lines[1].strip() == "→ add workers or slots"
    assert lines[1].index("→") == lines[0].index("a job has waited")


def test_in_a_narrow_panel_advice_begins_further_left() -> None:
    assert rows(FULL_HEALTH, 74)[1].index("→") == 4


def test_a_good_check_gives_no_advice() -> None:
    health = Health((Check("redis", Status.OK, "Redis answers", "1 ms", "nothing"),))
    assert len(rows(health)) == 1


def test_long_messages_go_on_under_themselves() -> None:
    health = Health((Check("x", Status.WARNING, "word " * 40, "", ""),))
    lines = rows(health, 74)
    assert len(lines) > 2
    assert {len(line) - len(line.lstrip()) for line in lines[1:]} == {lines[0].index("word")}


def test_figures_stand_in_a_column_with_the_bounds_that_alarm() -> None:
    lines = [plain_text(line) for line in checks.format_figure_lines(FULL_HEALTH.figures, 60)]
    assert lines[3].endswith("82  ▲>0 ✖>99")
    assert lines[4].startswith("oldest waiting")
    assert lines[4].endswith("412 s  ▲>60 s ✖>300 s")
    assert lines[5].endswith("4  ✖<1")
    assert lines[9].endswith("0.4 ms  ▲>50 ms ✖>500 ms")
    assert lines[10].rstrip().endswith("85.0 GiB")
    assert lines[0].rstrip().endswith("1,419")
    assert [plain_text(line) for line in checks.format_figure_lines((), 40)] == ["no figures"]


def test_figures_stand_side_by_side_where_there_is_room() -> None:
    lines = [plain_text(line) for line in checks.format_figure_lines(FULL_HEALTH.figures, 110)]
    assert len(lines) == 6
    assert "waiting" in lines[0]
    assert "unaccounted" in lines[0]


def test_small_values_keep_their_digits() -> None:
    assert "2.25 x" in plain_text(checks.format_figure_lines([PerfdataValue("wait", 2.25, "x")], 40)[0])


def test_untrusted_text_has_no_control_sequences() -> None:
    evil = Health(
        (Check("\x1b[2J", Status.WARNING, "\x9b", "\r", "\x07"),), (PerfdataValue("\x1b", 1, "\x1b", "\x1b"),)
    )
    assert "".join(
        [*rows(evil), *(plain_text(line) for line in checks.format_figure_lines(evil.figures, 40))]
    ).isprintable()


def silenced(name: str, level: str) -> Health:
    """``FULL_HEALTH`` with one check silenced for almost two hours."""
    silence = Silence(name, NOW_MS + 2 * HOUR_MS - 90_000, level, "ada\x1b[2J@ops", "a large import")
    return Health(
        tuple(
            replace(check, silence=silence) if check.name == name else check for check in FULL_HEALTH.checks
        )
    )


def test_a_silenced_check_names_operator_end_and_reason_behind_those_that_count() -> None:
    health = silenced("oldest-waiting", "critical")
    lines = rows(health)
    at = next(place for place, line in enumerate(lines) if "oldest-waiting" in line)
    assert "supervisors" in "".join(lines[:at])
    assert lines[at + 1].strip().startswith("‖ silenced up to critical by ada")
    assert "\x1b" not in lines[at + 1]
    shown = " ".join(line.strip() for line in lines[at + 1 : at + 4])
    assert "UTC (1 h 58 min left): a large import" in shown
    assert "→ add workers or slots" in shown
    assert verdict(QueueView(health=health)) == [
        "? UNKNOWN: the queue's health is unknown  1 unknown, 2 warnings, 9 OK, 1 silenced"
    ]


def test_a_silence_that_does_not_reach_the_status_says_so_and_the_check_stays_in_front() -> None:
    lines = rows(silenced("oldest-waiting", "warning"))
    assert "oldest-waiting" in lines[0]
    assert "silenced only up to warning" in lines[1]


def test_the_duration_of_a_silence_is_read_as_on_the_command_line() -> None:
    assert [silences.duration_ms(text) for text in ("30m", " 2h", "1d", "30d")] == [
        HOUR_MS // 2,
        2 * HOUR_MS,
        24 * HOUR_MS,
        720 * HOUR_MS,
    ]
    for text in ("", "2", "31d", "0s", "2 h", "soon"):
        assert silences.duration_ms(text) is None, text
        assert "allowed 30m, 2h or 1d, at most 30d" in silences.duration_problem(text)
    assert silences.duration_problem("2h") == ""


def test_the_proposed_level_is_the_lowest_that_silences_now() -> None:
    levels = {check.status: silences.initial_level(check) for check in FULL_HEALTH.checks}
    assert levels == {
        Status.OK: "warning",
        Status.WARNING: "warning",
        Status.UNKNOWN: "critical",
        Status.CRITICAL: "critical",
    }
    again = {
        check.name: silences.initial_level(check)
        for health in (silenced("oldest-waiting", "warning"), silenced("dead-letters", "critical"))
        for check in health.checks
        if check.silence is not None
    }
    assert again == {"oldest-waiting": "critical", "dead-letters": "critical"}
