"""The render cache: equal work is linked, different work is not; entries are limited and pruned."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from previewops import worker
from previewops.contract import limits, validate
from previewops.job_errors import PermanentJobError
from previewops.settings import Settings
from previewops.stores.folder.paths import bundle_path
from previewops.stores.folder.store import FolderStore
from previewops.worker.assets.opener import AssetRef, FileAssetOpener, OpenedAsset
from previewops.worker.cache.keys import renderer_fingerprint
from previewops.worker.cache.render_cache import DigestCache, MissedThumbnail, RenderCache
from previewops.worker.cache.store import CacheEntry, CacheStore
from previewops.worker.prune import cache_dir, cache_to_evict, expired_bundles, prune_cache
from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render_task import RenderRunner, RenderTask
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.pool import RenderPool
from previewops.worker.themes.folder import ThemeFolder
from tests.integration.cli_program import Program
from tests.render_support import payload, quarters

MIB = 1024 * 1024
FONT = Path(worker.__file__).parent / "fonts" / "DejaVuSans-Bold.ttf"
STEPS = [{"title": "One", "assetIds": ["a"]}, {"title": "Two"}]
ASSETS = [{"id": "a", "uri": "a.png"}, {"id": "b", "uri": "b.png"}]


class CacheHarness:
    """Renders jobs like a worker, without a queue."""

    def __init__(self, folder: Path, renders: RenderPool) -> None:
        self.folder = folder
        self.settings = Settings(data_dir=folder / "data")
        self.bundles = FolderStore(self.settings.data_dir)
        self.store = CacheStore(cache_dir(self.settings.data_dir))
        self.reuse = RenderCache(self.store, DigestCache())
        self.renders: RenderRunner = renders
        self._token = 0
        for name in ("staging", "previews"):
            (self.settings.data_dir / {"staging": ".staging"}.get(name, name)).mkdir(parents=True)

    async def render(
        self, job: dict[str, Any], job_id: str, fonts: FontSources | None = None, themes: Path | None = None
    ) -> dict[str, Any]:
        request = validate({**job, "jobId": job_id})
        self._token += 1
        staging = self.settings.data_dir / ".staging" / f"{job_id}.{self._token}"
        opener = FileAssetOpener((self.folder,))
        work = RenderTask.prepare(
            self.settings,
            request,
            staging,
            opener=opener,
            cache=self.reuse,
            fonts=fonts,
            theme=ThemeFolder(themes).find(request.request),
        )
        summary = await work.run(self.renders, lambda _share, _word: None)
        await asyncio.to_thread(self.bundles.publish, staging, "project", job_id, token=self._token)
        return summary

    def bundle(self, job_id: str) -> Path:
        return bundle_path(self.settings.data_dir, "project", job_id)

    def entries(self, kind: str) -> list[Path]:
        return sorted((self.store.root / kind).glob("*/*"))


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[CacheHarness]:
    quarters((80, 60)).save(tmp_path / "a.png")
    quarters((60, 80)).save(tmp_path / "b.png")
    shutil.copy(FONT, tmp_path / "own.ttf")
    pool = RenderPool(
        "previewops.worker.bundle_builder:build",
        size=1,
        limits=ChildLimits(1024 * MIB),
        recycle_jobs=100,
        preload=["previewops.worker.bundle_builder"],
        confined=True,
        generation=FontSources(),
        readable=[str(tmp_path / "own.ttf")],
    )
    try:
        yield CacheHarness(tmp_path, pool)
    finally:
        await pool.close()


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_changed_theme_or_logo_renders_again(harness: CacheHarness, tmp_path: Path) -> None:
    themes = tmp_path / "themes"
    themes.mkdir()
    job = payload(STEPS, ASSETS, theme="acme")

    async def reused(job_id: str, size: tuple[int, int], footer: str) -> bool:
        quarters(size).save(themes / "logo.png")
        (themes / "acme.toml").write_text(f"[brand]\nlogo = 'logo.png'\nfooter = '{footer}'\n")
        summary = await harness.render(job, job_id, themes=themes)
        preview = json.loads((harness.bundle(job_id) / "preview.json").read_text())
        logo = next(asset for asset in preview["assets"] if asset["id"] == "logo")
        assert (logo["width"], logo["height"]) == size
        return bool(summary.get("reused"))

    assert not await reused("one", (80, 40), "Acme")
    assert await reused("two", (80, 40), "Acme")
    assert not await reused("three", (80, 40), "Acme Learning")
    assert not await reused("four", (60, 40), "Acme Learning")
    assert await reused("five", (60, 40), "Acme Learning")


async def test_another_brand_renders_again(harness: CacheHarness) -> None:
    def job(**brand: Any) -> dict[str, Any]:
        return payload(STEPS, ASSETS, brand=brand)

    shutil.copy(harness.folder / "b.png", harness.folder / "c.png")
    await harness.render(job(logo={"uri": "b.png"}), "one")
    same_content = await harness.render(job(logo={"uri": "c.png"}), "two")
    assert same_content["reused"] is True
    for number, brand in enumerate(({"logo": {"uri": "a.png"}}, {"footer": "Acme"}, {"accent": "#AA0000"})):
        assert "reused" not in await harness.render(job(**brand), f"other-{number}")


async def test_the_same_request_under_another_id_is_linked(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS)
    first = await harness.render(job, "one")
    again = await harness.render(job, "two")
    assert "reused" not in first
    assert again["reused"] is True
    one, two = files_in(harness.bundle("one")), files_in(harness.bundle("two"))
    previews = [json.loads(bundle.pop("preview.json")) for bundle in (one, two)]
    assert one == two
    assert [preview["jobId"] for preview in previews] == ["one", "two"]
    assert list(previews[1]["timingsMs"]) == ["reuse"]
    for preview_json in previews:
        del preview_json["jobId"], preview_json["timingsMs"]
    assert previews[0] == previews[1]
    entry = next(item for item in again["artifacts"] if item["path"] == "preview.json")
    assert entry["bytes"] == (harness.bundle("two") / "preview.json").stat().st_size
    posters = [(harness.bundle(name) / "poster.webp").stat() for name in ("one", "two")]
    assert posters[0].st_ino == posters[1].st_ino


async def test_a_whole_job_after_its_first_preview_is_rendered(harness: CacheHarness) -> None:
    part = payload(STEPS, ASSETS, only=["poster"], widths=[160])
    await harness.render(part, "first")
    assert set(files_in(harness.bundle("first"))) == {
        "poster.webp",
        "poster-160.webp",
        "preview.json",
        "container.json",
    }
    assert (await harness.render(part, "again"))["reused"] is True
    assert "reused" not in await harness.render(payload(STEPS, ASSETS, only=["frames"]), "frames")
    assert "reused" not in await harness.render(payload(STEPS, ASSETS), "whole")
    whole = files_in(harness.bundle("whole"))
    assert json.loads(whole["preview.json"])["partial"] is None
    assert {"sheet.webp", "animation.webp", "frames/001.webp"} < set(whole)


async def test_the_key_depends_on_the_project(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS)
    await harness.render(job, "one")
    assert "reused" not in await harness.render({**job, "projectId": "elsewhere"}, "two")
    posters = [(harness.bundle(name) / "poster.webp").read_bytes() for name in ("one", "two")]
    assert posters[0] != posters[1]


async def test_the_key_depends_on_fonts_and_a_confined_process_reads_them(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS)
    own = harness.folder / "own.ttf"
    fonts = FontSources(preferred=(FontFile(str(own)),))
    await harness.render(job, "plain")
    drawn = await harness.render(job, "own", fonts)
    assert "reused" not in drawn
    preview = json.loads((harness.bundle("own") / "preview.json").read_bytes())
    assert drawn["warnings"] == [], "the process can read the font"
    assert any("DejaVu" in name for name in preview["fonts"])
    posters = [(harness.bundle(name) / "poster.webp").read_bytes() for name in ("plain", "own")]
    assert posters[0] != posters[1]
    assert (await harness.render(job, "again", fonts))["reused"]
    os.utime(own, (1, 1))
    assert "reused" not in await harness.render(job, "touched", fonts)


async def test_a_replaced_font_is_drawn_by_a_process_that_can_read_it(harness: CacheHarness) -> None:
    own = harness.folder / "own.ttf"
    fonts = FontSources(preferred=(FontFile(str(own)),))
    await harness.render(payload(STEPS, ASSETS), "one", fonts)
    shutil.copy(FONT.with_name("Inter-Regular.ttf"), harness.folder / "new")
    (harness.folder / "new").replace(own)
    drawn = await harness.render(payload(STEPS, ASSETS), "two", fonts)
    assert "reused" not in drawn
    assert drawn["warnings"] == [], "the process may read the new file"
    names = [
        json.loads((harness.bundle(job) / "preview.json").read_bytes())["fonts"] for job in ("one", "two")
    ]
    assert any("DejaVu" in name for name in names[0])
    assert not any("DejaVu" in name for name in names[1])
    assert (await harness.render(payload(STEPS, ASSETS), "three", fonts))["reused"]


async def test_a_font_replaced_during_the_render_is_not_cached(harness: CacheHarness) -> None:
    own, renders = harness.folder / "own.ttf", harness.renders
    fonts = FontSources(preferred=(FontFile(str(own)),))
    harness.renders = ReplacingOpener(renders, lambda: shutil.copy(FONT.with_name("Inter-Regular.ttf"), own))
    await harness.render(payload(STEPS, ASSETS), "one", fonts)
    assert harness.entries("bundles") == []


async def test_a_bundle_with_gaps_is_rendered_each_time(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS, onAssetError="gap")
    lost = harness.folder / "b.png"
    content = lost.read_bytes()
    lost.unlink()
    for name in ("one", "two"):
        summary = await harness.render(job, name)
        assert "reused" not in summary
        assert "shown as a gap (asset-missing)" in summary["warnings"][0]
    lost.write_bytes(b"%!PS-Adobe-3.0")  # the file exists; only the render process notices that it is broken
    for name in ("three", "four"):
        summary = await harness.render(job, name)
        assert "reused" not in summary
        assert "(asset-unsupported)" in summary["warnings"][0]
    lost.write_bytes(content)
    assert (await harness.render(job, "five"))["warnings"] == []
    assert (await harness.render(job, "six"))["reused"]


async def test_the_key_depends_on_content_and_not_on_the_path(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS)
    await harness.render(job, "one")
    shutil.copy(harness.folder / "a.png", harness.folder / "copy.png")
    elsewhere = deepcopy(job)
    elsewhere["previewRequest"]["assets"][0]["uri"] = "copy.png"
    elsewhere["previewRequest"]["metadata"] = {"free": True}
    assert (await harness.render(elsewhere, "two"))["reused"]
    shutil.copy(harness.folder / "b.png", harness.folder / "a.png")
    assert "reused" not in await harness.render(job, "three"), "another content at the same path"


class ReplacingOpener:
    """Renders, but replaces an asset after it was hashed and before it is read."""

    def __init__(self, renders: RenderRunner, replace_it: Callable[[], object]) -> None:
        self._renders = renders
        self._replace_it = replace_it

    async def run(self, spec: dict[str, Any], **how: Any) -> dict[str, Any]:
        self._replace_it()
        return await self._renders.run(spec, **how)


async def test_an_asset_changed_during_the_render_is_not_cached(harness: CacheHarness) -> None:
    job, renders = payload(STEPS, ASSETS), harness.renders
    first = harness.folder / "a.png"
    shutil.copy(first, harness.folder / "saved.png")
    harness.renders = ReplacingOpener(renders, lambda: shutil.copy(harness.folder / "b.png", first))
    assert "reused" not in await harness.render(job, "one")
    assert harness.entries("bundles") == harness.entries("thumbnails") == []
    shutil.copy(harness.folder / "saved.png", first)
    harness.renders = renders
    assert "reused" not in await harness.render(job, "two")
    thumbnails = [(harness.bundle(name) / "thumbs" / "a.webp").read_bytes() for name in ("one", "two")]
    assert thumbnails[0] != thumbnails[1]
    assert (await harness.render(job, "three"))["reused"]


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another"},
        {"options": {"resolution": "320x180", "quality": 30}},
        {"options": {"resolution": "322x180"}},
        {"steps": STEPS[:1]},
    ],
)
async def test_the_key_depends_on_everything_drawn(harness: CacheHarness, change: dict[str, Any]) -> None:
    job = payload(STEPS, ASSETS)
    await harness.render(job, "one")
    other = deepcopy(job)
    other["previewRequest"].update(change)
    assert "reused" not in await harness.render(other, "two")


async def test_a_file_changed_in_place_is_not_reused(harness: CacheHarness) -> None:
    job = payload(STEPS, ASSETS)
    await harness.render(job, "one")
    poster = harness.bundle("one") / "poster.webp"
    content = poster.read_bytes()
    poster.write_bytes(content[:100])
    assert "reused" not in await harness.render(job, "two")
    assert (harness.bundle("two") / "poster.webp").read_bytes() == content
    assert (await harness.render(job, "three"))["reused"], "the entry was rendered again"


async def test_thumbnails_are_reused_by_content_and_are_the_same(
    harness: CacheHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.render(payload(STEPS, ASSETS), "one")
    assert len(harness.entries("thumbnails")) == 2
    job = payload([*STEPS, {"title": "Three"}], ASSETS)
    hits: list[bool] = []
    find = CacheStore.find

    def watched(self: CacheStore, kind: str, key: str) -> Any:
        kept = find(self, kind, key)
        if kind == "thumbnails":
            hits.append(kept is not None)
        return kept

    monkeypatch.setattr(CacheStore, "find", watched)
    await harness.render(job, "two")
    assert hits == [True, True]
    shutil.rmtree(harness.store.root)
    await harness.render(job, "three")
    two, three = files_in(harness.bundle("two")), files_in(harness.bundle("three"))
    assert {name: two[name] for name in two if name != "preview.json"} == {
        name: three[name] for name in three if name != "preview.json"
    }
    assets = [json.loads(bundle["preview.json"])["assets"] for bundle in (two, three)]
    assert assets[0] == assets[1]


class RecordingRunner:
    """Renders nothing; records its deadline and the elapsed time."""

    elapsed_s = deadline_s = -1.0

    async def run(
        self, _spec: dict[str, Any], *, deadline_s: float, elapsed_s: float = 0.0, **_: Any
    ) -> dict[str, Any]:
        self.deadline_s, self.elapsed_s = deadline_s, elapsed_s
        return {"artifacts": []}


class SlowAssets(FileAssetOpener):
    """Advances its own clock by 50 s with each opening."""

    def __init__(self, root: Path) -> None:
        super().__init__((root,))
        self.now_s = 1_000.0

    def open(self, asset: AssetRef, *, max_bytes: int) -> OpenedAsset:
        self.now_s += 50
        return super().open(asset, max_bytes=max_bytes)

    def monotonic(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        return round(self.now_s * 1000)


async def test_time_spent_reading_assets_is_taken_from_the_deadline(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    slow, renders = SlowAssets(tmp_path), RecordingRunner()
    settings = Settings(data_dir=tmp_path, job_timeout_s=120)
    reuse = RenderCache(CacheStore(tmp_path / "cache"), DigestCache())
    request = validate(payload([], [{"id": "a", "uri": "a.png"}]))
    work = RenderTask.prepare(settings, request, tmp_path / "staging", opener=slow, cache=reuse, clock=slow)
    await work.run(renders, lambda _share, _word: None)
    assert (renders.deadline_s, renders.elapsed_s) == (120, 50)


@pytest.mark.parametrize(
    ("bounds", "code"),
    [({"assets_max": 1}, "too-many-assets"), ({"steps_max": 1}, "too-many-steps")],
)
def test_limits_are_checked_before_an_asset_is_opened(
    tmp_path: Path, bounds: dict[str, int], code: str
) -> None:
    request, slow = validate(payload(STEPS, ASSETS)), SlowAssets(tmp_path)
    settings = Settings(data_dir=tmp_path, **bounds)  # type: ignore[arg-type]
    with pytest.raises(PermanentJobError) as caught:
        RenderTask.prepare(settings, request, tmp_path / "staging", opener=slow, cache=None)
    assert caught.value.code == code
    assert slow.now_s == 1_000


def manifest_of(preview: Any = None, **summary: Any) -> tuple[Any, dict[str, Any]]:
    """A preview.json and a summary of a render process that was given ``thumbs/a.webp`` and preview.json."""
    asset = {"id": "a", "thumbnail": "thumbs/a.webp", "thumbhash": "h", "dominantColour": "#000000"}
    return preview or {"assets": [asset]}, summary or {"artifacts": [{"path": "thumbs/a.webp"}]}


@pytest.mark.parametrize(
    ("preview", "summary"),
    [
        manifest_of({"assets": [{"id": "a", "thumbnail": "/proc/self/environ", "thumbhash": "h"}]}),
        manifest_of(
            {"assets": [{"id": "a", "thumbnail": "../secret", "thumbhash": "h", "dominantColour": "c"}]},
        ),
        manifest_of(
            {"assets": [{"id": "a", "thumbnail": "secret", "thumbhash": "h", "dominantColour": "c"}]}
        ),
        manifest_of({"assets": [{"id": ["a"]}]}),
        manifest_of({"assets": 1}),
        manifest_of({"assets": [{"id": "a", "thumbnail": "thumbs/a.webp", "thumbhash": "h"}]}),
        manifest_of(["assets"]),
        manifest_of(artifacts=[{"path": "../secret"}]),
        manifest_of(artifacts=[{"path": ["thumbs/a.webp"]}]),
        manifest_of(artifacts=[{}]),
        manifest_of(artifacts=None),
        manifest_of(none=1),
    ],
)
def test_only_files_given_to_the_process_are_cached(
    tmp_path: Path, preview: Any, summary: dict[str, Any]
) -> None:
    staging = tmp_path / "staging"
    (staging / "thumbs").mkdir(parents=True)
    for secret in (staging / "secret", tmp_path / "secret"):
        secret.write_bytes(b"secret")
    (staging / "thumbs" / "a.webp").write_bytes(b"made")
    store = CacheStore(tmp_path / "cache")
    reuse, missed = RenderCache(store, DigestCache()), [MissedThumbnail("a", "1" * 64)]
    created = {"thumbs/a.webp", "preview.json"}

    def keep(preview: Any, summary: dict[str, Any]) -> None:
        (staging / "preview.json").write_text(json.dumps(preview))
        reuse.put("0" * 64, staging, summary, missed, created_paths=created)

    keep(preview, summary)
    assert not list(store.root.glob("*/*/*"))
    for deep in ("[" * 100_000, "1" * 20_000_000):
        (staging / "preview.json").write_text(deep)
        reuse.put("0" * 64, staging, summary, missed, created_paths=created)
    assert not list(store.root.glob("*/*/*"))
    keep(*manifest_of())
    kept = store.find("thumbnails", "1" * 64)
    assert kept is not None
    assert (kept.folder / "thumbnail").read_bytes() == b"made"
    assert store.find("bundles", "0" * 64) is not None


class PruningStore(CacheStore):
    """A store in which another worker removes each entry as soon as it was found."""

    def find(self, kind: str, key: str) -> CacheEntry | None:
        kept = super().find(kind, key)
        if kept is not None:
            shutil.rmtree(kept.folder)
        return kept


async def test_a_thumbnail_pruned_during_the_render_is_rendered_again(harness: CacheHarness) -> None:
    await harness.render(payload(STEPS, ASSETS), "one")
    shutil.rmtree(harness.store.root / "bundles")
    harness.reuse = RenderCache(PruningStore(harness.store.root), DigestCache())
    assert "reused" not in await harness.render(payload(STEPS, ASSETS), "two")
    for name in ("thumbs/a.webp", "thumbs/b.webp"):
        one, two = ((harness.bundle(job) / name).read_bytes() for job in ("one", "two"))
        assert one == two
    assert len(harness.entries("thumbnails")) == 2


async def test_asset_errors_are_the_same_with_the_cache(harness: CacheHarness) -> None:
    await harness.render(payload(STEPS, ASSETS), "one")
    (harness.folder / "b.png").unlink()
    with pytest.raises(PermanentJobError) as caught:
        await harness.render(payload(STEPS, ASSETS), "two")
    assert caught.value.code == "asset-missing"


async def test_size_and_age_are_limited_and_the_least_recently_used_is_evicted(harness: CacheHarness) -> None:
    jobs = {name: payload(STEPS, ASSETS, title=name) for name in ("one", "two", "three")}
    for number, (name, job) in enumerate(jobs.items()):
        await harness.render(job, name)
        for entry in set(harness.entries("bundles")):
            os.utime(entry / "entry.json", (number, number))
    assert (await harness.render(jobs["one"], "again"))["reused"]
    now_s = time.time()
    assert cache_to_evict(harness.settings, now_s) != []
    kept = prune_cache(replace(harness.settings, cache_max_age_s=60), now_s)
    assert len(kept) == 2, "entries last used in 1970"
    assert (await harness.render(jobs["one"], "more"))["reused"]
    assert prune_cache(replace(harness.settings, cache_max_mb=0), now_s) != []
    assert harness.entries("bundles") == harness.entries("thumbnails") == []
    assert (harness.bundle("one") / "poster.webp").exists(), "a bundle needs no entry"


async def test_an_unwritable_store_fails_no_job(harness: CacheHarness) -> None:
    harness.store.root.parent.mkdir(exist_ok=True)
    harness.store.root.write_bytes(b"in the way")
    await harness.render(payload(STEPS, ASSETS), "one")
    await harness.render(payload(STEPS, ASSETS), "two")
    assert (harness.bundle("two") / "poster.webp").exists()


async def test_bundles_are_removed_atomically_unless_they_are_being_published(harness: CacheHarness) -> None:
    await harness.render(payload(STEPS, ASSETS), "one")
    await harness.render(payload(STEPS, ASSETS), "two")
    store, now_s = harness.bundles, time.time()
    assert expired_bundles(store, project=None, now_s=now_s, older_than_s=60) == []
    assert expired_bundles(store, project="other", now_s=now_s, older_than_s=-60) == []
    one, two = sorted(
        expired_bundles(store, project="project", now_s=now_s, older_than_s=-60),
        key=lambda bundle: bundle.job_id,
    )
    assert one.size_bytes > 1_000
    assert store.remove(one)
    assert not harness.bundle("one").exists()
    preview = harness.bundle("two") / "preview.json"
    os.utime(preview, (1, 1))
    assert not store.remove(two), "published again since it was listed"
    assert preview.exists()
    assert list((store.data_dir / ".staging").iterdir()) == []


async def test_a_bundle_rendered_again_counts_as_new(harness: CacheHarness) -> None:
    job, store = payload(STEPS, ASSETS), harness.bundles
    await harness.render(job, "one")
    preview = harness.bundle("one") / "preview.json"
    os.utime(preview, (1, 1))
    before = preview.stat().st_ino
    (old,) = expired_bundles(store, project=None, now_s=time.time(), older_than_s=3_600)
    await harness.render(job, "one")
    assert preview.stat().st_ino == before, "the bundle was kept"
    assert not store.remove(old), "it was confirmed since it was listed"
    assert expired_bundles(store, project=None, now_s=time.time(), older_than_s=3_600) == []


def test_the_renderer_has_a_fingerprint_of_its_files() -> None:
    assert len(renderer_fingerprint()) == 64


def test_the_renderer_fingerprint_covers_python_and_the_contract_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = renderer_fingerprint.__wrapped__
    prints = [fresh()]
    monkeypatch.setattr(sys, "version", "4.0")
    prints.append(fresh())
    (tmp_path / "limits.py").write_text("TITLE_CARD_MS = 1\n")
    monkeypatch.setattr(limits, "__file__", str(tmp_path / "limits.py"))
    prints.append(fresh())
    assert len(set(prints)) == 3


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)


async def test_the_command_lists_first_and_removes_with_yes(harness: CacheHarness, program: Program) -> None:
    await harness.render(payload(STEPS, ASSETS), "one")
    data_dir = ("--data-dir", str(harness.settings.data_dir))
    result = await asyncio.to_thread(
        program.run, *data_dir, "prune", "--all-cache", "--bundles", "0s", "--json"
    )
    report = json.loads(result.out)
    assert (report["applied"], report["cache"]["count"], report["bundles"]["count"]) == (False, 3, 1)
    assert harness.bundle("one").exists()
    plain = await asyncio.to_thread(program.run, *data_dir, "prune")
    assert plain.out.splitlines() == ["0 cache entries would be removed, 0.0 MiB"]
    done = await asyncio.to_thread(
        program.run, *data_dir, "prune", "--all-cache", "--bundles", "0s", "--apply"
    )
    assert (done.code, done.err) == (0, "")
    assert "1 bundle removed" in done.out
    assert not harness.bundle("one").exists()
    assert harness.entries("bundles") == []
    assert (await asyncio.to_thread(program.run, "prune", "--bundles", "soon")).code == 2


class Reader:
    """Polls a bundle like a web server, and compares every file with the manifest."""

    def __init__(self, bundle: Path) -> None:
        self._bundle = bundle
        self._stop = threading.Event()
        self.seen: Counter[str] = Counter()
        self.halves: list[str] = []

    def poll(self) -> None:
        while not self._stop.is_set():
            handle = os.open(self._bundle, os.O_RDONLY | os.O_DIRECTORY)
            try:
                self._inspect(handle)
            except FileNotFoundError:
                # A replaced bundle is removed under its reader, which starts again; a partial bundle would stay.
                if self._is_there_still(handle):
                    self.halves.append("a file is missing")
            finally:
                os.close(handle)

    def _inspect(self, handle: int) -> None:
        def content(name: str) -> bytes:
            with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=handle), "rb") as file:
                return file.read()

        manifest = content("container.json")
        for entry in json.loads(manifest)["files"]:
            if hashlib.sha256(content(entry["path"])).hexdigest() != entry["sha256"]:
                self.halves.append(entry["path"])
        about = json.loads(content("preview.json"))
        if about["container"]["sha256"] != hashlib.sha256(manifest).hexdigest():
            self.halves.append("preview.json")
        self.seen[about["title"]] += 1

    def _is_there_still(self, handle: int) -> bool:
        return os.path.samestat(os.fstat(handle), self._bundle.stat())

    def stop(self) -> None:
        self._stop.set()


@pytest.mark.slow
async def test_a_reader_that_polls_during_500_renders_never_sees_a_partial_bundle(
    harness: CacheHarness,
) -> None:
    jobs = [
        payload(title=title, resolution="64x64", thumbnails=False, format="png") for title in ("even", "odd")
    ]
    await harness.render(jobs[0], "job")
    reader = Reader(harness.bundle("job"))
    polling = asyncio.ensure_future(asyncio.to_thread(reader.poll))
    try:
        for number in range(500):
            await harness.render(jobs[number % 2], "job")
    finally:
        reader.stop()
        await polling
    assert reader.halves == []
    assert set(reader.seen) == {"even", "odd"}
    assert reader.seen.total() > 50, "the reader has hardly looked"
