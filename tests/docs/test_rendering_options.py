"""docs/rendering-options.md: every option, picture, limit and error is in it and correct."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from dataclasses import fields as members

from PIL import Image

from previewops.contract import limits as contract_limits
from previewops.contract.url import MAX_URL_CHARACTERS
from previewops.settings import Settings, variable_of
from previewops.worker.assets.fetch import MAX_REDIRECTS
from previewops.worker.render.decode.memory import (
    PictureLayout,
    bytes_per_pixel,
    clip_pixels,
    jpeg_bytes,
)
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.layout.type_scale import SMALLEST_FOOTED
from previewops.worker.render.limits import MIB, RenderLimits
from previewops.worker.render.storyboard import read_storyboard
from previewops.worker.themes.theme_file import MAX_LOGO_BYTES, read_theme
from tests.docs.codes import codes_of_the_program, uses_of
from tests.docs.documents import ROOT, links, section, spans, table
from tests.docs.fields import objects
from tests.docs.pictures import IMAGES, MOVING, PICTURES, SIDE
from tests.render_support import payload

DOCUMENT = ROOT / "docs" / "rendering-options.md"
PLACES = {
    "options": "previewRequest.options",
    "options.brand": "previewRequest.options.brand",
    "steps[]": "previewRequest.steps[]",
    "assets[]": "previewRequest.assets[]",
    "audio": "previewRequest.audio",
}
OF_ONE_RENDER = {"job_timeout_s", "cpu_limit_s", "memory_limit_mb", "fetch_timeout_s", "fetch_max_mb"}
ERRORS = (
    "### Assets",
    "### Assets from the web",
    "### The request",
    "### Processes, disk and memory",
    "### Not caused by a payload",
)


def described() -> dict[str, tuple[str, str]]:
    """Returns (allowed, presence) of every field that affects rendering, by its name on the page."""
    known = {place: listed for place, _, listed in objects()}
    return {
        f"{short}.{field.name}": (field.allowed, field.presence)
        for short, place in PLACES.items()
        for field in known[place]
    }


def test_every_option_has_its_values_and_its_default() -> None:
    known = described()
    rows = {name: (allowed, default) for name, allowed, default, _ in table(DOCUMENT, "## Every option")}
    assert {name for name in known if name.startswith("options.")} <= set(rows)
    for name, (allowed, default) in rows.items():
        assert allowed == known[name][0]
        if known[name][1].startswith("default "):
            assert f"default {default}" == known[name][1], name


def test_every_option_is_shown_where_the_table_says() -> None:
    for name, _, _, where in table(DOCUMENT, "## Every option"):
        heading = re.fullmatch(r"\[(.+)\]\(#.+\)", where)
        assert heading
        text = section(DOCUMENT, f"## {heading[1][0].upper()}{heading[1][1:]}")
        assert name.partition(".")[2] in text, name
        assert "](images/" in text or name.startswith(("audio.", "options.webhook")), (
            f"{name} is shown in no picture"
        )


def test_every_value_that_can_be_chosen_is_described() -> None:
    documented = set(spans(DOCUMENT))
    for name, (allowed, _) in described().items():
        if re.fullmatch(r"[a-z0-9]+(, [a-z0-9]+)+", allowed) and name != "assets[].type":
            assert set(allowed.split(", ")) <= documented, name


def test_every_picture_is_shown_and_small() -> None:
    shown = {target for target in links(DOCUMENT) if target.startswith("images/rendering/")}
    there = {f"images/rendering/{path.name}" for path in (IMAGES / "rendering").iterdir()}
    assert shown == there == {f"images/rendering/{name}.webp" for name in (*PICTURES, MOVING)}
    assert sum(path.stat().st_size for path in (IMAGES / "rendering").iterdir()) < 420_000
    for path in (IMAGES / "rendering").iterdir():
        with Image.open(path) as image:
            assert max(image.size) <= SIDE


def test_the_theme_of_the_page_is_the_example_and_valid() -> None:
    path = ROOT / "examples" / "themes" / "morris.toml"
    page = DOCUMENT.read_text("utf-8")
    assert f"```toml\n{path.read_text('utf-8')}```" in page
    assert read_theme(path).problems == ()
    assert f"at most {MAX_LOGO_BYTES} bytes" in page
    assert f"below {SMALLEST_FOOTED} pixels" in page


def test_every_limit_is_listed_with_its_default_and_its_code() -> None:
    source = ast.parse(textwrap.dedent(inspect.getsource(RenderLimits.from_settings)))
    limiting = OF_ONE_RENDER | {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "settings"
    }
    known = {
        variable_of(member.name): member.metadata["shown"]
        for member in members(Settings)
        if member.name in limiting
    }
    rows = table(DOCUMENT, "## Limits")
    assert {row[0]: row[1] for row in rows} == known
    for setting, _, _, code, cure in rows:
        assert any(setting in use for use in uses_of(code)), f"{code} does not name {setting}"
        assert cure


def test_the_limits_of_a_library_call_are_those_of_the_settings() -> None:
    assert RenderLimits() == RenderLimits.from_settings(Settings())


def test_the_bounds_without_a_setting_are_those_of_the_contract() -> None:
    bounds = {what: re.findall(r"\d+", bound) for what, bound in _second_table("## Limits")}
    assert bounds == {
        "a side of options.resolution": [
            str(contract_limits.MIN_SIDE_PX),
            str(contract_limits.MAX_SIDE_PX),
        ],
        "a frame": [str(contract_limits.MAX_FRAME_PX), "3840", "2160"],
        "a payload": [str(contract_limits.MAX_PAYLOAD_BYTES)],
        "the content of a data: uri": [str(contract_limits.MAX_INLINE_BYTES)],
        "a path, in bytes": [str(contract_limits.MAX_PATH_BYTES)],
        "a web address, in characters": [str(MAX_URL_CHARACTERS)],
        "redirects of one fetch": [str(MAX_REDIRECTS)],
    }


_LAYOUTS = {
    "PNG with full transparency": PictureLayout("PNG", "RGBA"),
    "PNG with one transparent colour": PictureLayout("PNG", "RGB", transparency=True),
    "GIF with a transparent colour": PictureLayout("GIF", "P", transparency=True),
    "WebP, still or animated": PictureLayout("WEBP", "RGBA", frames=100),
    "AVIF, opaque, 8 bits": PictureLayout("AVIF", "RGB"),
    "AVIF, transparent, 10 bits": PictureLayout("AVIF", "RGBA", sample_bytes=2),
    "HEIF": PictureLayout("HEIF", "RGB"),
    "JPEG XL": PictureLayout("JXL", "RGB"),
    "TIFF": PictureLayout("TIFF", "RGB"),
    "BMP": PictureLayout("BMP", "RGB"),
    "GIF, animated": PictureLayout("GIF", "RGBA", frames=2),
    "PNG, animated": PictureLayout("PNG", "RGBA", frames=2),
    "AVIF, animated, 8 frames or more, opaque, 8 bits": PictureLayout("AVIF", "RGB", frames=99),
}


def test_the_pixels_that_fit_into_memory_are_listed_by_format() -> None:
    rows = {
        name: shown
        for name, *shown in _table_below(
            "## Limits", "| picture | by default | with 2048 MiB | beside a `webm` of 3840x2160 |"
        )
    }
    costs = {name: bytes_per_pixel(layout) for name, layout in _LAYOUTS.items()}
    opaque = max(bytes_per_pixel(PictureLayout(kind, "RGB")) for kind in ("PNG", "GIF"))
    costs["JPEG, PNG, GIF, opaque"] = max(opaque, jpeg_bytes(0, 1, 1))
    costs["JPEG, progressive, full colour, at 3840x2160"] = jpeg_bytes(3, 1, 1)
    large = read_storyboard(payload(format="webm", resolution="3840x2160"))
    limits = (
        RenderLimits(),
        RenderLimits(memory_bytes=2_048 * MIB),
        reserve_memory(large, RenderLimits()),
    )
    for name, cost in costs.items():
        shown = [min(limit.frame_pixels, int(limit.decoder_bytes / cost)) // 1_000_000 for limit in limits]
        assert rows.pop(name) == [*map(str, shown)], name
    for name, codec, bits in (
        ("video, H.264 or HEVC", "h264", 12),
        ("video, VP9 or AV1", "vp9", 12),
        ("video, HEVC with 10 bits", "hevc", 24),
    ):
        most = [min(limit.frame_pixels, clip_pixels(codec, limit.decoder_bytes, bits)) for limit in limits]
        assert rows.pop(name) == [str(pixels // 1_000_000) for pixels in most], name
    assert not rows


def _table_below(heading: str, head: str) -> list[list[str]]:
    below = section(DOCUMENT, heading).partition(head)[2].partition("\n\n")[0]
    rows = [line for line in below.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def _second_table(heading: str) -> list[list[str]]:
    below = section(DOCUMENT, heading).partition("| what | bound |")[2]
    rows = [line for line in below.splitlines() if line.startswith("| ")]
    return [[cell.strip().replace("`", "") for cell in row.strip("|").split("|")] for row in rows]


def test_every_error_is_listed_with_its_class_and_its_cure() -> None:
    rows = [row for heading in ERRORS for row in table(DOCUMENT, heading)]
    assert len({row[0] for row in rows}) == len(rows)
    assert {row[0]: frozenset(row[1].split(", ")) for row in rows} == codes_of_the_program()
    assert all(meaning and cure for _, _, meaning, cure in rows)
