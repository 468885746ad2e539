"""Unavailable assets: the job fails, or with ``onAssetError: gap`` they are drawn as gaps and reported."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from previewops.job_errors import PermanentJobError, TransientJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.dry_run import plan_render
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.manifest import write_manifests
from previewops.worker.render.render import RenderResult
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.render.theme import LIGHT
from tests.render_support import open_picture, payload, quarters, read_preview, render_into

ASSETS = [
    {"id": "good", "uri": "good.png", "title": "A good one"},
    {"id": "bad", "uri": "bad.png", "title": "An unavailable one"},
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "assets"
    folder.mkdir()
    quarters((400, 300)).save(folder / "good.png")
    Image.effect_noise((400, 300), 60).convert("RGB").save(folder / "bad.png")
    return folder


def remove(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def replace_with_postscript(path: Path) -> None:
    path.write_bytes(b"%!PS-Adobe-3.0")


BREAKAGES = {"asset-missing": remove, "asset-corrupt": truncate, "asset-unsupported": replace_with_postscript}


def job(*steps: list[str], layout: str = "auto", **options: Any) -> dict[str, Any]:
    shown = [{"title": "A step", "assetIds": ids, "layout": layout} for ids in steps]
    return payload(shown, ASSETS, imageFormat="png", resolution="640x360", **options)


def rendered(out: Path, root: Path, job_payload: dict[str, Any]) -> tuple[RenderResult, dict[str, Any]]:
    result = render_into(out, job_payload, root)
    write_manifests(result, ArtifactWriter(FolderOutput(out), RenderLimits().output_bytes), job_payload)
    return result, read_preview(out)


@pytest.mark.parametrize("code", BREAKAGES)
@pytest.mark.parametrize("layout", ["auto", "full", "grid", "focus"])
def test_an_unavailable_picture_is_a_gap_and_reported(
    tmp_path: Path, root: Path, code: str, layout: str
) -> None:
    BREAKAGES[code](root / "bad.png")
    out = tmp_path / "out"
    result, preview = rendered(out, root, job(["good", "bad"], ["bad"], layout=layout, onAssetError="gap"))
    assert list(result.asset_errors) == ["bad"]
    good, bad = preview["assets"]
    assert "error" not in good
    assert bad["error"]["code"] == code
    assert ("bytes" in bad) == (code == "asset-corrupt")  # its header is valid
    assert "thumbnail" in good
    assert "thumbnail" not in bad
    assert not (out / "thumbs" / "bad.png").exists()
    assert any(code in warning and "gap" in warning for warning in preview["warnings"])
    alone = open_picture(out / "frames" / "002.png").convert("RGB")
    seen = {colour: count for count, colour in alone.getcolors(1_000_000) or []}
    assert seen[LIGHT.surface] > alone.width * alone.height // 8
    assert len(seen) > 20  # name, reason and symbol are drawn


def test_the_title_card_takes_the_next_picture(tmp_path: Path, root: Path) -> None:
    truncate(root / "bad.png")
    job_payload = job(["bad"], ["good"], onAssetError="gap")
    render_into(tmp_path / "out", job_payload, root)
    colours = open_picture(tmp_path / "out" / "poster.png").convert("RGB").getcolors(1_000_000) or []
    assert {(220, 30, 30), (30, 180, 30)} <= {colour for _count, colour in colours}


def test_the_job_fails_by_default(tmp_path: Path, root: Path) -> None:
    for code, damage in BREAKAGES.items():
        quarters((400, 300)).save(root / "bad.png")
        damage(root / "bad.png")
        for options in ({}, {"onAssetError": "fail"}):
            with pytest.raises(PermanentJobError) as caught:
                render_into(tmp_path / "out", job(["good", "bad"], **options), root)
            assert caught.value.code == code


@pytest.mark.parametrize("damage", BREAKAGES.values())
def test_a_job_without_any_available_picture_fails(tmp_path: Path, root: Path, damage: Any) -> None:
    damage(root / "bad.png")
    remove(root / "good.png")
    with pytest.raises(PermanentJobError) as caught:
        render_into(tmp_path / "out", job(["good", "bad"], onAssetError="gap"), root)
    assert caught.value.data["assetId"] in ("good", "bad")


def test_an_incomplete_upload_is_a_transient_error(tmp_path: Path, root: Path) -> None:
    (root / "bad.png").rename(root / "bad.png.part")
    with pytest.raises(TransientJobError):
        render_into(tmp_path / "out", job(["good", "bad"], onAssetError="gap"), root)


def test_a_dry_run_reports_gaps(root: Path) -> None:
    remove(root / "bad.png")
    job_payload = job(["good", "bad"], onAssetError="gap")
    plan = plan_render(read_storyboard(job_payload), opener=FileAssetOpener((root,)), limits=RenderLimits())
    assert plan["assets"][1]["error"]["code"] == "asset-missing"
    assert "thumbs/bad.png" not in {entry["path"] for entry in plan["artifacts"]}
    assert any("gap" in warning for warning in plan["warnings"])
    with pytest.raises(PermanentJobError):
        plan_render(
            read_storyboard(job(["good", "bad"])), opener=FileAssetOpener((root,)), limits=RenderLimits()
        )


def test_an_unavailable_sound_is_reported(tmp_path: Path, root: Path) -> None:
    job_payload = payload(
        [{"assetIds": ["good"]}], [ASSETS[0]], audio={"uri": "nothing.ogg"}, onAssetError="gap"
    )
    _, preview = rendered(tmp_path / "out", root, job_payload)
    assert preview["assets"][1]["error"]["code"] == "asset-missing"
