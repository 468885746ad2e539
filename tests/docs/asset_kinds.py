"""Assets of kinds that the demo has none of, for the pictures of the documents."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw

from tests.extra_kinds import clip, heif, jxl, make_pdf

DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240">
<rect width="240" height="240" rx="28" fill="#1f54d6"/>
<g fill="none" stroke="#fff" stroke-width="6">
<rect x="40" y="40" width="160" height="160"/><rect x="80" y="80" width="80" height="80"/>
<path d="M120 40v40M120 160v40M40 120h40M160 120h40"/></g>
<g fill="#ffd24a">
<circle cx="40" cy="40" r="14"/><circle cx="120" cy="40" r="14"/><circle cx="200" cy="40" r="14"/></g>
<text x="120" y="129" font-size="26" font-weight="600" text-anchor="middle" fill="#fff">Mill</text>
</svg>"""
ART = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 240 240">
<g fill="none" stroke="#000" stroke-width="7"><rect x="30" y="30" width="180" height="180"/>
<rect x="60" y="60" width="120" height="120"/><rect x="90" y="90" width="60" height="60"/>
<path d="M120 30v60M120 150v60M30 120h60M150 120h60"/></g></svg>"""
RULES = (
    "Nine Men's Morris",
    "1  Place nine men in turn.",
    "2  Move along the lines.",
    "3  Three in a row are a mill.",
)


def write_kinds(folder: Path) -> None:
    """Writes one file of each kind into the folder of the demo's pictures."""
    with Image.open(folder / "placing.jpg") as image:
        placing = image.convert("RGB").resize((640, 360))
    with Image.open(folder / "flying.jpg") as image:
        flying = image.convert("RGB").resize((640, 360))
    (folder / "drawing.svg").write_text(DRAWING)
    (folder / "art.svg").write_text(ART)
    text = [
        b"BT /F1 %d Tf 40 %d Td (%s) Tj ET" % (22 if n == 0 else 14, 240 - 45 * n, line.encode())
        for n, line in enumerate(RULES)
    ]
    (folder / "rules.pdf").write_bytes(make_pdf([b"\n".join(text)], (360, 290)))
    (folder / "photo.heic").write_bytes(heif(placing))
    (folder / "photo.jxl").write_bytes(jxl(flying))
    (folder / "clip.mp4").write_bytes(clip("mp4", [Image.new("RGB", placing.size)] * 2 + [flying] * 8))
    (folder / "game.mp4").write_bytes(clip("mp4", [move(number / 29) for number in range(30)]))


def move(share: float) -> Image.Image:
    """A moment of a move that closes a mill, 0..1."""
    image = Image.new("RGB", (640, 360), (205, 164, 110))
    canvas = ImageDraw.Draw(image)
    for inset in (30, 80, 130):
        canvas.rectangle((140 + inset, inset, 500 - inset, 360 - inset), outline=(92, 58, 30), width=6)
    for line in (
        ((320, 30), (320, 130)),
        ((320, 230), (320, 330)),
        ((170, 180), (270, 180)),
        ((370, 180), (470, 180)),
    ):
        canvas.line(line, fill=(92, 58, 30), width=6)
    across = min(1.0, max(0.0, 1.6 * share - 0.2))
    men = [(170, 30), (320, 30), (470, round(180 - 150 * across))]
    for left, top in men:
        canvas.ellipse(
            (left - 22, top - 22, left + 22, top + 22), fill=(250, 244, 228), outline=(60, 40, 20), width=3
        )
    for left, top in ((270, 130), (370, 230), (220, 280)):
        canvas.ellipse(
            (left - 22, top - 22, left + 22, top + 22), fill=(52, 48, 52), outline=(20, 16, 16), width=3
        )
    return image
