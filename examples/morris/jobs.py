"""The demo's jobs: every priority, format, theme and shape, one that succeeds on a retry, two dead letters."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.morris.assets import CORRUPT, MEN, file_name
from examples.morris.lesson import DESCRIPTION, STEPS, TITLE, LessonStep
from previewops.states import Priority
from previewops.worker.demo import FOLDER, MISSING, UPLOADING, Expectation


@dataclass(frozen=True, slots=True)
class _Plan:
    """The variable part of a job. ``frames``: each a step and the files of its pictures."""

    name: str
    priority: Priority
    title: str
    frames: tuple[tuple[LessonStep, tuple[str, ...]], ...]
    options: dict[str, Any]
    note: str
    description: str = DESCRIPTION
    dry_run: bool = False
    expectation: Expectation = Expectation.COMPLETED


def write_jobs(path: Path) -> None:
    """Writes the data of ``previewops.worker.demo.jobs``."""
    entries = [
        {"name": plan.name, "note": plan.note, "expectation": plan.expectation, "payload": _payload(plan)}
        for plan in _plans()
    ]
    path.write_text(json.dumps(entries, indent=1) + "\n", "utf-8")


def _payload(plan: _Plan) -> dict[str, Any]:
    return {
        "dryRun": plan.dry_run,
        "priority": plan.priority.value,
        "attempts": 0,
        "previewRequest": {
            "title": plan.title,
            "description": plan.description,
            "steps": [_step(step, files) for step, files in plan.frames],
            "assets": [
                _asset(file) for file in dict.fromkeys(file for _, files in plan.frames for file in files)
            ],
            "audio": {},
            "options": plan.options,
            "metadata": {"game": "Nine Men's Morris", "demo": True},
        },
    }


def _step(step: LessonStep, files: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": step.id,
        "title": step.title,
        "text": step.text,
        "assetIds": [_asset_id(file) for file in files],
        "durationMs": step.duration_ms,
    }


def _asset(file: str) -> dict[str, Any]:
    return {"id": _asset_id(file), "uri": f"{FOLDER}/{file}", "type": "image", "fit": "contain"}


def _asset_id(file: str) -> str:
    return file.partition(".")[0]


def _frame(name: str, *others: str) -> tuple[LessonStep, tuple[str, ...]]:
    """The lesson's step ``name`` with its own picture, and further files."""
    step = next(step for step in STEPS if step.id == name)
    return step, (file_name(step.asset), *others)


def _plans() -> list[_Plan]:
    return [*_lessons(), *_formats(), *_without_pictures(), *_faults()]


def _lessons() -> list[_Plan]:
    every = tuple(_frame(step.id) for step in STEPS)
    return [
        _Plan(
            "lesson",
            Priority.HIGH,
            TITLE,
            every,
            {"resolution": "1280x720", "format": "webp", "theme": "light", "fps": 12, "quality": 85},
            "the whole lesson, landscape, as an animated WebP with a thumbnail of every asset",
        ),
        _Plan(
            "story",
            Priority.HIGH,
            "Morris on a phone",
            every[:6],
            {
                "resolution": "540x960",
                "format": "gif",
                "theme": "dark",
                "thumbnails": {"width": 160, "height": 160},
            },
            "six steps, portrait, dark, as a GIF",
        ),
        _Plan(
            "silent",
            Priority.LOW,
            "A game without words",
            every,
            {
                "resolution": "854x480",
                "format": "mp4",
                "transition": "fade",
                "fps": 25,
                "theme": "dark",
                "background": "#183A38",
                "includeCaptions": False,
                "thumbnails": False,
            },
            "the pictures alone, without captions, fading into each other, as an MP4",
        ),
    ]


def _formats() -> list[_Plan]:
    return [
        _Plan(
            "square",
            Priority.NORMAL,
            "Mills, made and used",
            (
                _frame("mill", file_name("capture")),
                _frame("running-mill"),
                _frame("victory"),
            ),
            {"resolution": "720x720", "format": "apng", "theme": "light", "imageFormat": "png"},
            "three steps, square, as an animated PNG; the first sets two pictures side by side",
        ),
        _Plan(
            "poster",
            Priority.NORMAL,
            "The whole game at a glance",
            (
                _frame("board", file_name("mill"), file_name("moving"), file_name("flying")),
                _frame("placing", MEN),
            ),
            {"resolution": "1600x1200", "format": "png", "imageFormat": "png", "theme": "dark"},
            "stills as PNG: four pictures in a grid, and a picture with a transparent ground",
        ),
        _Plan(
            "handout",
            Priority.LOW,
            "Rules to print",
            (_frame("placing"), _frame("capture"), _frame("moving"), _frame("flying")),
            {
                "resolution": "1240x1754",
                "format": "jpeg",
                "imageFormat": "jpeg",
                "theme": "light",
                "quality": 90,
            },
            "stills as JPEG on an upright A4 page",
        ),
    ]


def _without_pictures() -> list[_Plan]:
    return [
        _Plan(
            "card",
            Priority.NORMAL,
            "Nine Men's Morris",
            (),
            {"resolution": "1280x720", "format": "webm", "theme": "dark"},
            "no steps and no assets: a title card, as a WebM",
            description="Two players, eighteen men, one board. Known since antiquity, played ever since.",
        ),
        _Plan(
            "plan",
            Priority.HIGH,
            TITLE,
            tuple(_frame(step.id) for step in STEPS),
            {"resolution": "1920x1080", "format": "webp"},
            "a dry run: measures the assets and reports what a render would produce",
            dry_run=True,
        ),
    ]


def _faults() -> list[_Plan]:
    moving, _ = _frame("moving")
    return [
        _Plan(
            "late-upload",
            Priority.NORMAL,
            "All men are placed",
            ((moving, (UPLOADING,)),),
            {"resolution": "1280x720", "format": "webp", "theme": "light"},
            "its picture has not been uploaded at the first attempt: the retry succeeds",
            expectation=Expectation.RETRIED,
        ),
        _Plan(
            "missing-asset",
            Priority.HIGH,
            "A picture that does not exist",
            (_frame("board", MISSING),),
            {"resolution": "1280x720", "format": "webp"},
            "one of its pictures does not exist: a dead letter at once",
            expectation=Expectation.DEAD,
        ),
        _Plan(
            "corrupt-image",
            Priority.LOW,
            "A picture that ends early",
            (_frame("mill", CORRUPT),),
            {"resolution": "1280x720", "format": "gif"},
            "one of its pictures is a truncated PNG: a dead letter at once",
            expectation=Expectation.DEAD,
        ),
    ]
