"""The renderer: previews of one photograph, whole storyboards, memory, and repeated jobs.

Compared with naive Pillow, with libvips (if pyvips is installed with its binary wheel), with the default encoders of
Pillow and FFmpeg over the same frames, and with the libraries' own calls for like pixels. Peers take turns, each
in its own process; figures are medians; read the ratios of one run.

    python -m benchmarks.render [--rounds N] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks.peer_programs import PEERS, peers_python
from benchmarks.rounds import rounds

ROOT = Path(__file__).parents[1]
FORMATS = ("webp", "gif", "apng", "webm", "mp4")


def photograph(width: int, height: int, seed: int) -> Image.Image:
    """A picture with detail at every scale, like a photograph, and falling light."""
    random.seed(seed)
    base = Image.new("L", (width, height), 128)
    for scale, share in ((64, 0.5), (16, 0.35), (4, 0.25), (1, 0.12)):
        noise = Image.effect_noise((max(1, width // scale), max(1, height // scale)), 80)
        base = Image.blend(base, noise.resize((width, height), Image.Resampling.BICUBIC), share)
    across = Image.linear_gradient("L").resize((width, height))
    round_ = Image.radial_gradient("L").resize((width, height))
    return Image.merge("RGB", (Image.blend(base, across, 0.4), Image.blend(base, round_, 0.4), base))


def started(peer: str, *arguments: object, python: Path | None = None) -> subprocess.Popen[str]:
    """Runs a measurement in its own process, by another ``python`` if it is given."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [str(python or sys.executable), str(PEERS / peer), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)


def read_report(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Returns what a finished measurement printed."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{process.args} failed")
    return dict(json.loads(out))


def make_pictures(folder: Path) -> Path:
    """Writes the photographs of the storyboards to a folder of their own, and returns it."""
    pictures = folder / "pictures"
    pictures.mkdir()
    for number in range(4):
        photograph(1600, 1000, number).save(pictures / f"p{number}.jpg", quality=88)
    return pictures


def previews(folder: Path, most_rounds: int, seconds: float = 60) -> dict[str, Any]:
    """Three previews of a 24-megapixel photograph, by each pipeline, and their similarity to a full decode."""
    picture = folder / "photograph.jpg"
    photograph(6000, 4000, 1).save(picture, quality=90)
    peers = peers_python()
    pipelines = ["ours", "naive"] + (["libvips"] if peers else [])
    python = {"libvips": peers}
    results: dict[str, Any] = {}
    for name in pipelines:  # lossless, to compare the pixels
        (folder / name).mkdir()
        read_report(
            started("preview_peer.py", name, picture, "png", folder / name, 0, python=python.get(name))
        )
    for kind in ("webp", "jpeg"):
        by: dict[str, list[dict[str, Any]]] = {name: [] for name in pipelines}
        for _ in rounds(most_rounds, seconds / 2):
            for name in pipelines:
                out = folder / f"{name}-{kind}"
                out.mkdir(exist_ok=True)
                process = started("preview_peer.py", name, picture, kind, out, 3, python=python.get(name))
                by[name].append(read_report(process))
        results[kind] = {
            name: {
                "ms": statistics.median(ms for run in runs for ms in run["ms"]),
                "leastMs": min(ms for run in runs for ms in run["ms"]),
                "leastCpuMs": min((ms for run in runs for ms in run["cpuMs"]), default=0.0),
                "extraMiB": max(run["extraMiB"] for run in runs),
                "ssim": likeness(folder / name, folder / "naive", peers),
            }
            for name, runs in by.items()
        }
    return results


def likeness(one: Path, other: Path, python: Path | None) -> list[float] | None:
    """SSIM of the three lossless files; None without pyvips."""
    if python is None:
        return None
    command = [str(python), str(PEERS / "likeness_peer.py"), str(one), str(other)]
    return list(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))


def storyboards(pictures: Path, most_rounds: int, seconds: float = 120) -> dict[str, Any]:
    """Six steps at 1280x720, all artifacts, beside the libraries' part; medians of rounds in turn."""
    ours: dict[str, list[dict[str, Any]]] = {kind: [] for kind in FORMATS}
    bare: dict[str, list[float]] = {kind: [] for kind in FORMATS}
    for _ in rounds(most_rounds, seconds):
        for kind in FORMATS:
            ours[kind].append(
                read_report(started("storyboard_peer.py", "bundle", kind, 6, "1280x720", pictures, 2))
            )
            report = read_report(started("libraries_peer.py", kind, 6, "1280x720", pictures, 2))
            bare[kind].append(min(report["cpuMs"]))
    results: dict[str, Any] = {}
    for kind in FORMATS:
        least = [min(report["cpuMs"]) for report in ours[kind]]
        results[kind] = {
            "ms": statistics.median(ms for report in ours[kind] for ms in report["ms"]),
            "leastMs": min(ms for report in ours[kind] for ms in report["ms"]),
            "cpuMs": statistics.median(least),
            "librariesCpuMs": statistics.median(bare[kind]),
            "ratio": statistics.median(one / other for one, other in zip(least, bare[kind], strict=True)),
            "phases": ours[kind][-1]["phases"],
        }
    return results


def default_animations(pictures: Path) -> dict[str, float]:
    """ms for the animation alone, as its library makes it by default."""
    arguments = (6, "1280x720", pictures, 1)
    reports = {
        kind: read_report(started("storyboard_peer.py", "plain", kind, *arguments)) for kind in FORMATS
    }
    return {kind: statistics.median(report["ms"]) for kind, report in reports.items()}


def side_by_side(pictures: Path, count: int) -> float:
    """Throughput of two processes over one, in WebP."""
    arguments = ("storyboard_peer.py", "bundle", "webp", 6, "1280x720", pictures, count)
    alone = statistics.median(read_report(started(*arguments))["ms"])
    pair = [started(*arguments) for _ in range(2)]
    together = [ms for process in pair for ms in read_report(process)["ms"]]
    return 2 * alone / statistics.median(together)


def memory(pictures: Path, kinds: Sequence[str] = FORMATS) -> dict[str, float]:
    """Peak resident memory of 60 steps at 1920x1080, MiB."""
    return {
        kind: read_report(started("storyboard_peer.py", "bundle", kind, 60, "1920x1080", pictures, 0))[
            "peakMiB"
        ]
        for kind in kinds
    }


def encoder_memory(size: str = "1920x1080", frames: int = 60) -> float:
    """Peak resident memory of a process that only encodes frames as the renderer's WebM, MiB."""
    return float(read_report(started("encoder_peer.py", "webm", size, frames))["peakMiB"])


async def again(pictures: Path, most_rounds: int) -> dict[str, float]:
    """A job of six steps through a worker's code: rendered, then the same job under other ids; ms until published."""
    from benchmarks.peers.storyboard_peer import request
    from previewops.contract import validate
    from previewops.settings import Settings
    from previewops.stores.folder.store import FolderStore
    from previewops.stores.staging import staging_path
    from previewops.worker.assets.opener import FileAssetOpener
    from previewops.worker.cache.render_cache import DigestCache, RenderCache
    from previewops.worker.cache.store import CacheStore
    from previewops.worker.engine.jobs import BUILD_TASK, PRELOAD_MODULES
    from previewops.worker.prune import cache_dir
    from previewops.worker.render.text.fontfiles import FontSources
    from previewops.worker.render_task import RenderTask
    from previewops.worker.sandbox.child import ChildLimits
    from previewops.worker.sandbox.pool import RenderPool

    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data_dir=Path(folder))
        (settings.data_dir / ".staging").mkdir()
        store = FolderStore(settings.data_dir)
        reuse = RenderCache(CacheStore(cache_dir(settings.data_dir)), DigestCache())
        limits = ChildLimits(1 << 30)
        pool = RenderPool(
            BUILD_TASK,
            size=1,
            limits=limits,
            recycle_jobs=100,
            preload=PRELOAD_MODULES,
            confined=True,
            generation=FontSources(),
        )
        spent = []
        try:
            await pool.start()
            for number in range(most_rounds + 1):
                job_id = f"job-{number}"
                payload = validate(
                    {
                        "jobId": job_id,
                        "projectId": "bench",
                        "requestId": "bench",
                        "dryRun": False,
                        "previewRequest": request("webp", 6, "1280x720", pictures),
                    }
                )
                before = time.perf_counter()
                staging = staging_path(settings.data_dir, job_id, 1)
                work = RenderTask.prepare(
                    settings, payload, staging, opener=FileAssetOpener((pictures,)), cache=reuse
                )
                await work.run(pool, lambda _share, _word: None)
                await asyncio.to_thread(store.publish, staging, "bench", job_id, token=1)
                spent.append((time.perf_counter() - before) * 1000)
        finally:
            await pool.close()
    return {"firstMs": spent[0], "againMs": statistics.median(spent[1:])}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="skip memory and the comparison of two processes"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    load_before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = make_pictures(folder)
        results: dict[str, Any] = {
            "previews": previews(folder, max(1, options.rounds // 2)),
            "storyboards": storyboards(pictures, options.rounds),
            "defaults": default_animations(pictures),
            "reuse": asyncio.run(again(pictures, 10)),
        }
        if not options.quick:
            results["twoProcesses"] = side_by_side(pictures, options.rounds)
            results["memoryMiB"] = memory(pictures)
            results["encoderMiB"] = encoder_memory()
    show(results, load_before)
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def show(results: dict[str, Any], load_before: float) -> None:
    """Prints the figures as tables."""
    when = f"{datetime.now(tz=UTC):%Y-%m-%d}"
    load = f"load {load_before:.1f} before, {os.getloadavg()[0]:.1f} after"
    print(f"{when}, {os.cpu_count()} processors, Python {platform.python_version()}, {load}")
    print("\n24 MP JPEG to 3 previews      median   least   extra   SSIM to naive")
    for kind, by in results["previews"].items():
        for name, figures in by.items():
            alike = " ".join(f"{similarity:.4f}" for similarity in figures["ssim"] or [])
            times = f"{figures['ms']:>7.0f} {figures['leastMs']:>7.0f} ms"
            print(f"  {kind:<5} {name:<18} {times} {figures['extraMiB']:>4.0f} MiB  {alike}")
    print(
        "\n6 steps, 1280x720, all files  median   least   animation alone, by its library   processor ÷ libraries"
    )
    for kind, figures in results["storyboards"].items():
        peer = results["defaults"][kind]
        times = f"{figures['ms']:>7.0f} {figures['leastMs']:>7.0f} ms"
        used = f"{figures['cpuMs']:>5.0f} ÷ {figures['librariesCpuMs']:.0f} ms = {figures['ratio']:.2f}"
        print(f"  {kind:<24} {times}   {peer:>7.0f} ms   {used}")
    print(
        f"\nrendered {results['reuse']['firstMs']:.0f} ms, the same again {results['reuse']['againMs']:.1f} ms"
    )
    if "twoProcesses" in results:
        print(f"two processes do {results['twoProcesses']:.2f} x the work of one")
        peaks = ", ".join(f"{kind} {peak:.0f}" for kind, peak in results["memoryMiB"].items())
        print(
            f"peak of 60 steps at 1920x1080, MiB: {peaks}; the WebM encoder alone: {results['encoderMiB']:.0f}"
        )


if __name__ == "__main__":
    main()
