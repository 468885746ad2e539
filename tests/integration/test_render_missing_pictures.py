"""Assets that cannot be had: by default the job fails; with ``onAssetError: gap`` they are drawn and told of."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from previewops.errors import PermanentJobError, TransientJobError
from previewops.worker.assets.opener import FileAssetOpener
from previewops.worker.publish.output import FolderOutput
from previewops.worker.render.artifacts import ArtifactWriter
from previewops.worker.render.dry_run import plan_render
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.manifest import write_manifests
from previewops.worker.render.render import RenderResult
from previewops.worker.render.theme import LIGHT
from tests.render_support import open_picture, payload, quarters, render_into

ASSETS = [
    {"id": "good", "uri": "good.png", "title": "A good one"},
    {"id": "bad", "uri": "bad.png", "title": "A lost one"},
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


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def no_picture(path: Path) -> None:
    path.write_bytes(b"%PDF-1.4")


SPOILED = {"asset-missing": remove, "asset-corrupt": cut, "asset-unsupported": no_picture}


def job(*steps: list[str], layout: str = "auto", **options: Any) -> dict[str, Any]:
    shown = [{"title": "A step", "assetIds": ids, "layout": layout} for ids in steps]
    return payload(shown, ASSETS, imageFormat="png", resolution="640x360", **options)


def rendered(out: Path, root: Path, made: dict[str, Any]) -> tuple[RenderResult, dict[str, Any]]:
    result = render_into(out, made, root)
    write_manifests(result, ArtifactWriter(FolderOutput(out), RenderLimits().output_bytes), made)
    return result, json.loads((out / "preview.json").read_text("utf-8"))


@pytest.mark.parametrize("code", SPOILED)
@pytest.mark.parametrize("layout", ["auto", "full", "grid", "focus"])
def test_a_lost_picture_is_a_gap_and_told_of(tmp_path: Path, root: Path, code: str, layout: str) -> None:
    SPOILED[code](root / "bad.png")
    out = tmp_path / "out"
    result, preview = rendered(out, root, job(["good", "bad"], ["bad"], layout=layout, onAssetError="gap"))
    assert list(result.asset_errors) == ["bad"]
    good, bad = preview["assets"]
    assert "error" not in good
    assert bad["error"]["code"] == code
    assert ("bytes" in bad) == (code == "asset-corrupt")  # whose header is whole
    assert "thumbnail" in good
    assert "thumbnail" not in bad
    assert not (out / "thumbs" / "bad.png").exists()
    assert any(code in warning and "gap" in warning for warning in preview["warnings"])
    alone = open_picture(out / "frames" / "002.png").convert("RGB")
    seen = {colour: count for count, colour in alone.getcolors(1_000_000) or []}
    assert seen[LIGHT.surface] > alone.width * alone.height // 8
    assert len(seen) > 20  # its name, the reason and the sign are drawn


def test_the_title_card_takes_the_next_picture(tmp_path: Path, root: Path) -> None:
    cut(root / "bad.png")
    made = job(["bad"], ["good"], onAssetError="gap")
    render_into(tmp_path / "out", made, root)
    colours = open_picture(tmp_path / "out" / "poster.png").convert("RGB").getcolors(1_000_000) or []
    assert {(220, 30, 30), (30, 180, 30)} <= {colour for _count, colour in colours}


def test_by_default_the_job_fails(tmp_path: Path, root: Path) -> None:
    for code, spoil in SPOILED.items():
        quarters((400, 300)).save(root / "bad.png")
        spoil(root / "bad.png")
        for options in ({}, {"onAssetError": "fail"}):
            with pytest.raises(PermanentJobError) as caught:
                render_into(tmp_path / "out", job(["good", "bad"], **options), root)
            assert caught.value.code == code


@pytest.mark.parametrize("spoil", SPOILED.values())
def test_a_job_none_of_whose_pictures_is_left_fails(tmp_path: Path, root: Path, spoil: Any) -> None:
    spoil(root / "bad.png")
    remove(root / "good.png")
    with pytest.raises(PermanentJobError) as caught:
        render_into(tmp_path / "out", job(["good", "bad"], onAssetError="gap"), root)
    assert caught.value.data["assetId"] in ("good", "bad")


def test_an_upload_under_way_is_waited_for_and_no_gap(tmp_path: Path, root: Path) -> None:
    (root / "bad.png").rename(root / "bad.png.part")
    with pytest.raises(TransientJobError):
        render_into(tmp_path / "out", job(["good", "bad"], onAssetError="gap"), root)


def test_a_plan_tells_of_what_would_be_a_gap(root: Path) -> None:
    remove(root / "bad.png")
    made = job(["good", "bad"], onAssetError="gap")
    answer = plan_render(made, opener=FileAssetOpener((root,)), limits=RenderLimits())
    assert answer["assets"][1]["error"]["code"] == "asset-missing"
    assert "thumbs/bad.png" not in {entry["path"] for entry in answer["artifacts"]}
    assert any("gap" in warning for warning in answer["warnings"])
    with pytest.raises(PermanentJobError):
        plan_render(job(["good", "bad"]), opener=FileAssetOpener((root,)), limits=RenderLimits())


def test_lost_sound_is_told_of(tmp_path: Path, root: Path) -> None:
    made = payload([{"assetIds": ["good"]}], [ASSETS[0]], audio={"uri": "nothing.ogg"}, onAssetError="gap")
    _, preview = rendered(tmp_path / "out", root, made)
    assert preview["assets"][1]["error"]["code"] == "asset-missing"
