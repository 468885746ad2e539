"""Hostile input to confined render processes: a typed error each, and the process survives."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from previewops.contract import validate
from previewops.job_errors import JobError, PermanentJobError, TransientJobError
from previewops.settings import Settings
from previewops.worker.assets.download_cache import DownloadCache
from previewops.worker.assets.fetch import WebFetcher
from previewops.worker.assets.opener import AssetRef, FileAssetOpener
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render_task import RenderTask
from previewops.worker.sandbox.child import ChildLimits
from previewops.worker.sandbox.file_server import FileServer
from previewops.worker.sandbox.pool import RenderPool
from tests import extra_kinds
from tests.hostile import corpus, damaged, harmless, no_files, pictures
from tests.render_support import payload
from tests.sample_sounds import KINDS, encode_sound, tone
from tests.web_server import complete_response, redirect_to, serving, slow_response, web_assets

MIB = 1024 * 1024
SEED = 20261124
CORPUS = corpus()
EXTRA_FILES = extra_kinds.files()
WORDS = re.compile(
    r"found (?:"
    r"[A-Za-z0-9 ]+ data that (?:is damaged|ends in the middle)|an empty file|an unknown file format"
    r"|[A-Z][A-Za-z0-9 ]+|[0-9]+ pixels|[0-9]+x[0-9]+(?:, [0-9]+ pixels| in [A-Za-z0-9 ]+)"
    r"|(?:over )?[0-9]+ frames? of [0-9]+x[0-9]+|an SVG of more than [a-z0-9, ]+"
    r"|[A-Za-z0-9]+ sound (?:that cannot be decoded|without (?:a whole frame|a sound stream))"
    r"|[A-Za-z0-9]+ with the codec [a-z0-9_]+|a file that starts with the bytes [0-9a-f ]+"
    r"), allowed [a-zA-Z0-9,. -]+"
)
"""Everything that messages about damaged files say."""


class Renderer:
    """One confined render process, given jobs as by a worker."""

    def __init__(self, pool: RenderPool, folder: Path) -> None:
        self.pool = pool
        self.folder = folder
        self._jobs = 0

    async def render(self, uri: str, web: WebFetcher | None = None, *, sound: bool = False) -> dict[str, Any]:
        assets = [] if sound else [{"id": "it", "uri": uri}]
        steps = [{"title": "One", "assetIds": [asset["id"] for asset in assets]}]
        audio = {"uri": uri} if sound else None
        job = validate(payload(steps, assets, audio=audio, format="webm" if sound else "png"))
        self._jobs += 1
        staging = self.folder / "staging" / str(self._jobs)
        staging.parent.mkdir(exist_ok=True)
        fetched = DownloadCache(web) if web is not None else None
        opener = FileAssetOpener((self.folder / "assets",), fetched)
        settings = Settings(data_dir=self.folder, job_timeout_s=60)
        work = RenderTask.prepare(settings, job, staging, opener=opener, cache=None)
        try:
            return await work.run(self.pool, lambda _share, _word: None)
        finally:
            if fetched is not None:
                fetched.close()

    async def rejection(self, uri: str, web: WebFetcher | None = None, *, sound: bool = False) -> JobError:
        with pytest.raises(JobError) as caught:
            await self.render(uri, web, sound=sound)
        error = caught.value
        assert error.code != "unexpected", error.remote_traceback
        assert {"found", "allowed"} <= set(error.data)
        assert error.hint
        return error


@pytest.fixture
async def renderer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Renderer]:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    (tmp_path / "assets").mkdir()
    pool = RenderPool(
        "previewops.worker.bundle_builder:build",
        size=1,
        limits=ChildLimits(512 * MIB, cpu_s=60, file_bytes=64 * MIB),
        recycle_jobs=1_000,
        preload=["previewops.worker.bundle_builder"],
        confined=True,
        generation=FontSources(),
    )
    try:
        await pool.start()
        yield Renderer(pool, tmp_path)
    finally:
        await pool.close()


async def test_one_process_rejects_a_corpus_of_hostile_files_with_their_codes(
    renderer: Renderer,
) -> None:
    pid = renderer.pool.child_pids()
    results = {}
    for name, (content, _) in CORPUS.items():
        (renderer.folder / "assets" / name).write_bytes(content)
        error = await renderer.rejection(name)
        assert isinstance(error, PermanentJobError)
        results[name] = error.code
    assert results == {name: code for name, (_, code) in CORPUS.items()}
    assert renderer.pool.child_pids() == pid
    assert renderer.pool.crashes == 0


async def test_odd_files_that_are_pictures_are_rendered(renderer: Renderer) -> None:
    for name, content in harmless().items():
        (renderer.folder / "assets" / name).write_bytes(content)
        summary = await renderer.render(name)
        assert any(entry["path"] == "poster.png" for entry in summary["artifacts"]), name


async def test_special_files_are_rejected_with_their_code_without_blocking(renderer: Renderer) -> None:
    outside = renderer.folder / "secret" / "secret.png"
    outside.parent.mkdir()
    outside.write_bytes(pictures()[4])
    for name, code in no_files(renderer.folder / "assets", outside).items():
        error = await renderer.rejection(name)
        assert (name, error.code) == (name, code)
        assert isinstance(error, TransientJobError if code == "asset-incomplete" else PermanentJobError)


async def test_hostile_servers_are_rejected_with_their_codes(renderer: Renderer) -> None:
    good = pictures()[4]
    with serving(redirect_to("http://127.0.0.1/")) as server:
        assert (await renderer.rejection(server.url(), web_assets(server))).code == "asset-host-refused"
    with serving(slow_response(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n", b"\x89", 0.01)) as server:
        error = await renderer.rejection(server.url(), web_assets(server, timeout_s=0.3))
        assert (error.code, type(error)) == ("asset-fetch-timeout", TransientJobError)
    address_lists = iter([["127.0.0.1"], ["10.0.0.1"]])
    with serving(complete_response(good)) as server:
        changing = web_assets(server, resolve=lambda _host, _port: next(address_lists))
        assert (await renderer.render(server.url(), changing))["artifacts"], "looked up once for one job"
        assert (await renderer.rejection(server.url(), changing)).code == "asset-address-refused"
    with serving(complete_response(b"<html>Log in first</html>" * 10, Content_Type="image/png")) as server:
        assert (await renderer.rejection(server.url(), web_assets(server))).code == "asset-unsupported"


async def fuzzed(renderer: Renderer, originals: list[bytes], count: int, *, sound: bool) -> Counter[str]:
    """The codes of ``count`` mutants of ``originals``, a hundred per job."""
    rng = random.Random(SEED)
    limits = ChildLimits(512 * MIB, cpu_s=60)
    pool = RenderPool(
        "sandbox_tasks:run", size=2, limits=limits, recycle_jobs=1_000, preload=[], confined=True
    )
    results: Counter[str] = Counter()
    try:
        await pool.start()
        pids = pool.child_pids()
        for start in range(0, count, 100):
            names = [f"mutant-{start + n}" for n in range(min(100, count - start))]
            for number, name in enumerate(names):
                content = damaged(originals[(start + number) % len(originals)], rng)
                (renderer.folder / "assets" / name).write_bytes(content)
            file_server = FileServer(
                {name: AssetRef(name, name) for name in names},
                FileAssetOpener((renderer.folder / "assets",)),
                max_bytes=MIB,
                output=None,
            )
            spec = {"act": "decode_all", "names": names, "sound": sound}
            result = await pool.run(spec, deadline_s=120, handle_request=file_server.handle)
            results.update(result["codes"])
            for message in result["messages"]:
                assert WORDS.fullmatch(message), f"not in words of this program: {message!r}"
        assert pool.child_pids() == pids, "a process was lost"
        assert (pool.crashes, pool.deadline_kills) == (0, 0)
    finally:
        await pool.close()
    return results


async def test_two_thousand_mutated_pictures_crash_no_process(renderer: Renderer) -> None:
    results = await fuzzed(renderer, pictures(), 2_000, sound=False)
    assert results.total() == 2_000
    sizes = {"asset-too-many-pixels", "asset-too-many-frames", "out-of-memory"}
    assert set(results) <= {"", "asset-corrupt", "asset-unsupported"} | sizes
    assert results["asset-corrupt"] > 300, "the mutations prove little"
    assert results[""] > 100


async def test_mutated_documents_drawings_and_videos_crash_no_process(renderer: Renderer) -> None:
    originals = list(extra_kinds.files().values())
    results = await fuzzed(renderer, originals, 60 * len(originals), sound=False)
    sizes = {"asset-too-many-pixels", "out-of-memory", "asset-page-missing"}
    assert set(results) <= {"", "asset-corrupt", "asset-unsupported"} | sizes
    assert results["asset-corrupt"] > 100
    assert results[""] > 50


@pytest.mark.parametrize("name", EXTRA_FILES)
async def test_each_kind_of_an_extra_is_rendered_in_a_confined_process(renderer: Renderer, name: str) -> None:
    (renderer.folder / "assets" / name).write_bytes(EXTRA_FILES[name])
    summary = await renderer.render(name)
    assert any(entry["path"] == "poster.png" for entry in summary["artifacts"])


async def test_mutated_sounds_crash_no_process(renderer: Renderer) -> None:
    originals = [encode_sound(tone(0.3), kind) for kind in KINDS]
    results = await fuzzed(renderer, originals, 300, sound=True)
    assert set(results) <= {"", "asset-corrupt", "asset-unsupported"}
    assert results[""] > 20


async def test_a_sound_of_claimed_hours_is_read_only_as_far_as_needed(renderer: Renderer) -> None:
    content = bytearray(tone(1))
    content[40:44] = (0x7FFFFFF0).to_bytes(4, "little")
    (renderer.folder / "assets" / "long.wav").write_bytes(bytes(content))
    summary = await renderer.render("long.wav", sound=True)
    assert summary["durationMs"] == 4_000
