"""Draws a page of a PDF document step by step, so that one that takes too long ends with a reason."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from PIL import Image

MAX_DRAWING_S = 20.0  # processor time; an ordinary page takes less than a second


class PageTooComplex(Exception):
    """A page takes longer to draw than ``MAX_DRAWING_S``."""


def draw_page(
    pdfium: Any, page: Any, scale: float, *, clock: Callable[[], float] = time.process_time
) -> Image.Image:
    """Returns a page on white, with its annotations and the fields of forms; ``scale`` is pixels per point.

    Raises:
        PageTooComplex: see there. A single element is drawn to its end before the time is looked at.
    """
    raw, limit_s = pdfium.raw, clock() + MAX_DRAWING_S
    size = [max(1, math.ceil(length * scale)) for length in page.get_size()]
    bitmap = pdfium.PdfBitmap.new_native(*size, raw.FPDFBitmap_BGR)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
    pause = raw.IFSDK_PAUSE(version=1)
    pause.NeedToPauseNow = type(pause.NeedToPauseNow)(lambda _pause: clock() >= limit_s)
    place = (bitmap, page, 0, 0, *size, 0, raw.FPDF_ANNOT)
    status = raw.FPDF_RenderPageBitmap_Start(*place, pause)
    raw.FPDF_RenderPage_Close(page)
    if status == raw.FPDF_RENDER_TOBECONTINUED:
        raise PageTooComplex
    if status != raw.FPDF_RENDER_DONE:
        raise ValueError("the page cannot be drawn")
    if page.formenv:
        raw.FPDF_FFLDraw(page.formenv, *place)
    image: Image.Image = bitmap.to_pil().convert("RGB")
    return image
