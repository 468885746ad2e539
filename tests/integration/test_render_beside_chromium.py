"""Lines of text beside Chromium: widths and visual order, with the same fonts. Skipped where it is not installed."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest

from previewops.worker.render.text.fontfiles import FontFile, FontSources
from previewops.worker.render.text.fonts import FontWeight
from previewops.worker.render.text.segmentation import grapheme_clusters
from previewops.worker.render.text.typesetting import Typesetter

SIZE = 40  # pixels
WIDTH_TOLERANCE = 0.025  # hinted advances are whole pixels
INVISIBLE = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
NOTO = ("NotoSansArabic", "NotoSansHebrew", "NotoSansDevanagari", "NotoSansThai", "NotoSansKhmer")
TEXTS = {
    "Latin": ("en", "Příliš žluťoučký kůň, ½ € — “yes”"),
    "Cyrillic": ("ru", "Съешь ещё этих мягких булок"),
    "Urdu": ("ur", "ہر کھلاڑی کے پاس نو مہرے ہیں۔"),
    "Pashto": ("ps", "پښتو ژبه ۍ ۀ"),
    "dates": ("ar", "الفترة من 2025-11-28 إلى 2025-12-05 فقط"),
    "mixed": ("en", "He said “مرحبا بالعالم” (hello), then שלום! 50% של 3.5$"),
    "brackets": ("he", "שלום (world [עולם] 12) סוף"),
    "override": ("en", "rlo \u202eevil.exe\u202c end"),
    "isolate": ("en", "a \u2067שלום 12, abc\u2069 b"),
    "left-to-right isolate": ("he", "שלום \u2066C++ (v1.2)\u2069 סוף"),
    "isolate by its text": ("ar", "ملف \u2068report (2).pdf\u2069 جاهز"),
    "isolate in an isolate": ("en", "a \u2068אב \u2066c d\u2069 1\u2069 e"),
    "isolate without an end": ("en", "x \u2067אב 12"),
    "end without an isolate": ("en", "x \u2069אב 1"),
    "figures of a label": ("ar", "٣ خطوات  ·  \u20661:05\u2069  ·  \u20661280×720\u2069"),
    "Hindi": ("hi", "नमस्ते क्षत्रिय विद्यालय"),
    "Thai": ("th", "วางหมากของคุณเก้าตัว"),
    "Khmer": ("km", "ភាសាខ្មែរជាភាសា"),
    "Simplified Chinese": ("zh-Hans", "骨直角门：这个国家"),
    "Japanese": ("ja", "骨直角門：ひらがな「東京」"),
    "Korean": ("ko", "한국어 미리보기"),
}
SCRIPT = """
const out = [];
for (const span of document.querySelectorAll("span")) {
  const node = span.firstChild, clusters = [];
  for (const {segment, index} of new Intl.Segmenter("en").segment(node.data)) {
    const range = document.createRange();
    range.setStart(node, index);
    range.setEnd(node, index + segment.length);
    const box = range.getBoundingClientRect();
    clusters.push([segment, (box.left + box.right) / 2]);
  }
  out.push({width: span.getBoundingClientRect().width, clusters});
}
document.fonts.ready.then(() => { document.title = "ready"; });
document.getElementById("out").textContent = JSON.stringify(out);
"""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What Chromium makes of one line: its width in pixels, and its visible clusters from left to right."""

    width: float
    clusters: list[str]


def font_files() -> list[Path]:
    packaged, noto, cjk = (
        Path(str(files(name))) for name in ("previewops.worker.fonts", "manimgx_fonts", "manimgx_fonts_cjk")
    )
    return [
        packaged / "Inter-Regular.ttf",
        *(noto / f"{name}[wght].ttf" for name in NOTO),
        cjk / "NotoSansCJK-VF.otf.ttc",
    ]


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Drawn]:
    """What Chromium draws for each of ``TEXTS``."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("install chromium")
    pytest.importorskip("manimgx_fonts_cjk")
    folder = tmp_path_factory.mktemp("chromium")
    faces = "".join(
        f'@font-face {{ font-family: "f{at}"; src: url("{path.as_uri()}"); font-weight: 100 900; }}\n'
        for at, path in enumerate(font_files())
    )
    families = ", ".join(f'"f{at}"' for at in range(len(font_files())))
    spans = "".join(
        f'<p><span lang="{tag}" dir="auto">{html.escape(text)}</span></p>\n' for tag, text in TEXTS.values()
    )
    page = folder / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><style>{faces}"
        f"p {{ font: 400 {SIZE}px {families}; white-space: nowrap; }}</style>{spans}<pre id=out></pre>"
        f"<script>window.onload = () => document.fonts.ready.then(() => {{ {SCRIPT} }});</script>",
        "utf-8",
    )
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    command += [
        f"--user-data-dir={folder / 'profile'}",
        "--virtual-time-budget=20000",
        "--dump-dom",
        page.as_uri(),
    ]
    dom = subprocess.run(command, capture_output=True, timeout=120, check=True).stdout.decode("utf-8")
    match = re.search(r"<pre id=\"out\">(.*?)</pre>", dom, re.DOTALL)
    assert match
    lines = json.loads(html.unescape(match[1]))
    return {
        name: Drawn(line["width"], in_order(line["clusters"]))
        for name, line in zip(TEXTS, lines, strict=True)
    }


def in_order(clusters: list[tuple[str, float]]) -> list[str]:
    return [cluster for cluster, _ in sorted(clusters, key=lambda pair: pair[1]) if visible(cluster)]


def visible(cluster: str) -> str:
    return INVISIBLE.sub("", cluster).strip()


@pytest.mark.parametrize("name", TEXTS)
def test_lines_have_the_width_and_the_order_of_chromium(name: str, chromium: dict[str, Drawn]) -> None:
    tag, text = TEXTS[name]
    sources = FontSources(system=tuple(FontFile(str(path)) for path in font_files()[1:]))
    (line,) = Typesetter(sources, tag).fit_line(text, FontWeight.REGULAR, SIZE, 4_000).lines
    assert line.width == pytest.approx(chromium[name].width, rel=WIDTH_TOLERANCE)
    clusters = [
        cluster
        for run in line.runs
        for cluster in (reversed(grapheme_clusters(run.text)) if run.rtl else grapheme_clusters(run.text))
    ]
    assert [visible(cluster) for cluster in clusters if visible(cluster)] == chromium[name].clusters
