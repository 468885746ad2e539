"""The demo: a legal game, pictures that show it, jobs that are valid and match the generator."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from examples.morris.assets import CORRUPT, MEN, file_name
from examples.morris.assets import write_assets as draw_assets
from examples.morris.jobs import write_jobs
from examples.morris.lesson import GAME, RUNNING, STEPS, position_after, scenes
from examples.morris.morris import LINES, POINTS, IllegalMove, Move, Position, Side, neighbours
from examples.morris.scene import SIZE, at
from previewops import worker
from previewops.contract import find_violations
from previewops.worker.demo import (
    FOLDER,
    MISSING,
    UPLOADING,
    DemoJob,
    Expectation,
    finish_upload,
    jobs,
    write_assets,
)
from previewops.worker.render.storyboard import ANIMATED_FORMATS


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("assets") / FOLDER
    write_assets(folder)
    return folder


@pytest.fixture(scope="module")
def demo_jobs() -> list[DemoJob]:
    return jobs(project_id="demo", created_at_ms=1_700_000_000_123, prefix="demo-")


def played(*moves: str) -> Position:
    position = Position()
    for text in moves:
        position = position.play(Move.parse(text))
    return position


def test_the_board_has_the_points_and_lines_of_the_game() -> None:
    assert len(POINTS) == 24
    assert len(LINES) == 16
    assert sorted(len(neighbours(point)) for point in POINTS) == [2] * 12 + [3] * 8 + [4] * 4
    assert neighbours("d6") == {"b6", "f6", "d7", "d5"}
    assert neighbours("c4") == {"b4", "c5", "c3"}


@pytest.mark.parametrize(
    ("moves", "rule"),
    [
        (["d6", "d6"], "not an empty point"),
        (["d6", "d4"], "not an empty point"),
        (["d6", "f4", "d6-d7"], "all men are placed before any moves"),
        (["a7", "f4", "d7", "f6", "g7"], "exactly when a mill is closed"),
        (["a7xf4"], "exactly when a mill is closed"),
        (["a7", "f4", "d7", "f6", "g7xb2"], "no such man"),
    ],
)
def test_illegal_moves_are_rejected(moves: list[str], rule: str) -> None:
    with pytest.raises(IllegalMove, match=rule):
        played(*moves)


@pytest.mark.parametrize(
    ("move", "rule"),
    [
        ("c5", "moves a man of its own"),
        ("b4-a4", "moves a man of its own"),
        ("d5-d3", "no line joins|not an empty point"),
        ("d5-c4", "no line joins"),
    ],
)
def test_moving_follows_the_lines(move: str, rule: str) -> None:
    with pytest.raises(IllegalMove, match=rule):
        position_after(18).play(Move.parse(move))


def test_a_man_in_a_mill_is_safe_unless_all_are() -> None:
    mill = {"a7": Side.BLACK, "d7": Side.BLACK, "g7": Side.BLACK}
    assert Position({**mill, "a4": Side.BLACK}).takeable(Side.BLACK) == {"a4"}
    assert Position(mill).takeable(Side.BLACK) == mill.keys()


def test_a_side_that_cannot_move_has_lost() -> None:
    men = {"a7": Side.BLACK, "d7": Side.WHITE, "a4": Side.WHITE, "g1": Side.BLACK, "d1": Side.WHITE}
    men |= {"g4": Side.WHITE, "a1": Side.BLACK, "g7": Side.BLACK}
    placed = Position(men, dict.fromkeys(Side, 0), Side.BLACK)
    assert placed.lost(Side.BLACK)
    assert not placed.lost(Side.WHITE)
    assert not Position(men).lost(Side.BLACK)


def test_the_game_is_legal_and_ends_with_its_last_move() -> None:
    for turns in range(len(GAME)):
        position = position_after(turns)
        assert not position.lost(Side.WHITE)
        assert not position.lost(Side.BLACK)
    end = position_after(len(GAME))
    assert end.lost(Side.BLACK)
    assert end.count(Side.BLACK) == 2


def test_the_texts_match_the_positions() -> None:
    text = {step.id: step.text for step in STEPS}
    shown = scenes()
    assert len(STEPS) >= 6
    assert f"{len(POINTS)} points on {len(LINES)} lines" in text["board"]
    assert shown["mill"].mills == (("d7", "d6", "d5"),)
    assert "White's man on d7" in text["mill"]
    assert shown["capture"].taken in shown["capture"].takeable
    start = re.search(r"From (..): to (..) or (..)", text["moving"])
    assert start is not None
    assert shown["moving"].targets == shown["moving"].position.targets(start[1]) == {start[2], start[3]}
    flying = shown["flying"].position
    assert flying.turn is Side.BLACK
    assert flying.flies(Side.BLACK)
    assert shown["flying"].targets == flying.empty()
    assert shown["victory"].position.count(Side.BLACK) == 3
    assert shown["victory"].taken is not None


def test_the_running_mill_closes_at_every_step() -> None:
    shown, position = scenes()["running-mill"], position_after(RUNNING)
    (closed,), (open_,) = shown.mills, shown.open_mills
    whites_turn = Position(position.men, position.in_hand, Side.WHITE)
    there = whites_turn.play(Move("d1", "g1", "f4"))
    back = Position(there.men, there.in_hand, Side.WHITE).play(Move("g1", "d1", "c4"))
    for after, stands, gone in ((position, closed, open_), (there, open_, closed), (back, closed, open_)):
        assert stands in after.mills(Side.WHITE)
        assert gone not in after.mills(Side.WHITE)


@pytest.mark.parametrize("name", list(scenes()))
def test_every_picture_shows_its_position(folder: Path, name: str) -> None:
    scene = scenes()[name]
    with Image.open(folder / file_name(name)) as image:
        image.load()
        assert image.size == SIZE
        grey = image.convert("L")
    for point in POINTS:
        x, y = at(point)
        # Beside the centre, where a taken man has its cross and a target its dot.
        spot = ImageStat.Stat(grey.crop((round(x) - 4, round(y) + 20, round(x) + 4, round(y) + 26))).mean[0]
        owner = scene.position.men.get(point)
        if point == scene.taken or point in scene.targets:
            continue
        assert (spot > 190) == (owner is Side.WHITE), (point, spot)
        assert (spot < 70) == (owner is Side.BLACK), (point, spot)


def test_every_file_is_one_that_the_jobs_need(folder: Path, demo_jobs: list[DemoJob]) -> None:
    used = {
        Path(asset["uri"]).name
        for job in demo_jobs
        for asset in job.payload["previewRequest"]["assets"]
        if asset["uri"].startswith(f"{FOLDER}/")
    }
    there = {path.name for path in folder.iterdir()}
    assert there == used - {MISSING, UPLOADING} | {f"{UPLOADING}.part"}


def test_the_men_stand_on_a_transparent_ground(folder: Path) -> None:
    with Image.open(folder / MEN) as image:
        alpha = image.convert("RGBA").getchannel("A")
    assert alpha.getpixel((0, 0)) == 0
    assert alpha.getpixel((430, 490)) == 255


def test_the_corrupt_image_opens_and_does_not_load(folder: Path) -> None:
    with Image.open(folder / CORRUPT) as image:
        assert image.size == SIZE
        with pytest.raises(OSError, match="truncated"):
            image.load()


def test_the_upload_has_its_suffix_until_it_is_finished(tmp_path: Path) -> None:
    for _ in range(2):
        write_assets(tmp_path)
        assert not (tmp_path / UPLOADING).exists()
        assert finish_upload(tmp_path) == finish_upload(tmp_path) == tmp_path / UPLOADING
        with Image.open(tmp_path / UPLOADING) as image:
            image.load()
        assert not (tmp_path / f"{UPLOADING}.part").exists()


def test_finishing_a_missing_upload_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finish_upload(tmp_path)


def test_the_pictures_are_those_of_the_generator(folder: Path, tmp_path: Path) -> None:
    drawn = draw_assets(tmp_path)
    assert [path.name for path in drawn] == sorted(path.name for path in folder.iterdir())
    for path in drawn:
        if path.name != CORRUPT:  # another version of an encoder may give other bytes
            with Image.open(path) as new, Image.open(folder / path.name) as shipped:
                difference = ImageChops.difference(new.convert("RGB"), shipped.convert("RGB"))
            assert max(ImageStat.Stat(difference).mean) < 2, path.name


def test_the_payloads_are_those_of_the_generator(tmp_path: Path) -> None:
    write_jobs(tmp_path / "jobs.json")
    shipped = Path(worker.__file__).parent / "demo" / "jobs.json"
    assert (tmp_path / "jobs.json").read_text("utf-8") == shipped.read_text("utf-8")


def test_the_contract_accepts_every_job(demo_jobs: list[DemoJob]) -> None:
    for job in demo_jobs:
        assert find_violations(job.payload) == []


def test_the_prefix_makes_job_ids_unique(demo_jobs: list[DemoJob]) -> None:
    ids = [job.payload["jobId"] for job in demo_jobs]
    assert len(set(ids)) == len(ids)
    assert all(name.startswith("demo-") for name in ids)
    other = jobs(project_id="demo", created_at_ms=0, prefix="again-")
    assert not set(ids) & {job.payload["jobId"] for job in other}
    assert other[0].payload["createdAt"] == "1970-01-01T00:00:00.000Z"


def option(name: str) -> Callable[[DemoJob], Any]:
    return lambda job: job.payload["previewRequest"]["options"].get(name)


def test_the_jobs_cover_every_format_theme_and_priority(demo_jobs: list[DemoJob]) -> None:
    assert {job.payload["priority"] for job in demo_jobs} == {"high", "normal", "low"}
    assert {option("format")(job) for job in demo_jobs} == {*ANIMATED_FORMATS, "png", "jpeg"}
    assert {option("theme")(job) for job in demo_jobs} >= {"light", "dark"}
    sizes = [tuple(map(int, option("resolution")(job).split("x"))) for job in demo_jobs]
    assert {(width > height) - (width < height) for width, height in sizes} == {1, 0, -1}
    assert sum(job.payload["dryRun"] for job in demo_jobs) == 1
    ends = [job.expectation for job in demo_jobs]
    assert ends.count(Expectation.DEAD) == 2
    assert ends.count(Expectation.RETRIED) == 1
    assert len(STEPS) == len(demo_jobs[0].payload["previewRequest"]["steps"])


def test_the_expected_end_of_a_job_follows_from_its_assets(folder: Path, demo_jobs: list[DemoJob]) -> None:
    for job in demo_jobs:
        files = {Path(asset["uri"]).name for asset in job.payload["previewRequest"]["assets"]}
        dead = bool(files & {MISSING, CORRUPT})
        assert (job.expectation is Expectation.DEAD) == dead
        assert (job.expectation is Expectation.RETRIED) == (UPLOADING in files)
        assert not (folder / MISSING).exists()
