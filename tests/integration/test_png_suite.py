"""PNG files of every form give the pixels that the specification says; broken ones are rejected."""

from __future__ import annotations

from io import BytesIO

import pytest

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import decode_picture
from tests.png_suite import PngCase, broken, suite

REF = AssetRef("it", "it.png")
SUITE = dict(suite())


def difference(case: PngCase) -> float:
    """The largest difference of a visible sample, or of alpha."""
    image = decode_picture(REF, BytesIO(case.content), RenderLimits(), Size(*case.size)).image.convert("RGBA")
    assert image.size == case.size
    data = image.tobytes()
    worst = 0.0
    for number, expected in enumerate(case.pixels):
        actual = data[4 * number : 4 * number + 4]
        seen = 4 if expected[3] else 0
        worst = max(
            worst,
            abs(actual[3] - expected[3]),
            *(abs(a - b) for a, b in zip(actual[:seen], expected[:seen], strict=True)),
            0,
        )
    return worst


@pytest.mark.parametrize("name", SUITE)
def test_every_form_of_png_gives_its_pixels(name: str) -> None:
    # Conversion from a gamma of 8-bit samples is rounded twice.
    assert difference(SUITE[name]()) <= (2 if name.startswith("gamma") else 1)


@pytest.mark.parametrize(("name", "content"), broken())
def test_a_broken_png_is_rejected_in_words(name: str, content: bytes) -> None:
    with pytest.raises(PermanentJobError) as caught:
        decode_picture(REF, BytesIO(content), RenderLimits(), Size(32, 32))
    assert caught.value.code in ("asset-corrupt", "asset-unsupported")
