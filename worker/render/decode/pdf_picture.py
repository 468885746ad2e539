"""A page of a PDF document, by PDFium: drawn at the needed size on white."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from previewops.file_kinds import PDF
from previewops.job_errors import PermanentJobError
from previewops.worker.render.decode.errors import picture_error
from previewops.worker.render.decode.extras import require_extra
from previewops.worker.render.decode.open_picture import (
    DecodedPicture,
    PictureHeader,
    PictureSource,
    check_page,
    decode_scale,
    note_pages,
    scaled_up,
)
from previewops.worker.render.decode.pdf_page import MAX_DRAWING_S, PageTooComplex, draw_page
from previewops.worker.render.decode.srgb import resize
from previewops.worker.render.layout.geometry import Size

_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
_MAX_SIDE_PT = 20_000.0  # points; PDF 1.7 allows 14,400


@dataclass(frozen=True, slots=True)
class PdfPicture:
    """An open document, and the natural size of its page in points."""

    source: PictureSource
    natural: Size
    pages: int

    @classmethod
    def open(cls, source: PictureSource) -> PdfPicture:
        """Reads the page's size. Raises PermanentJobError for a password or a page that is not there."""
        with _document(source) as document:
            pages = len(document)
            index = check_page(source, pages)
            width, height = document.get_page_size(index)
        scale = min(1.0, _MAX_SIDE_PT / max(width, height, 1e-9))
        return cls(source, Size(max(1, round(width * scale)), max(1, round(height * scale))), pages)

    @property
    def header(self) -> PictureHeader:
        return PictureHeader("pdf", scaled_up(self.natural), 1, 1, natural=self.natural)

    def decode(self, needed: Size) -> DecodedPicture:
        """See ``OpenPicture``. It is drawn at the size, not scaled to it."""
        size = decode_scale(self.header.size, needed)
        with _document(self.source) as document:
            if document.get_formtype():
                document.init_forms()  # before a page is read; its fields are drawn as they are filled in
            page = document[check_page(self.source, self.pages)]
            width, height = page.get_size()
            # The natural size is a point or more: a far thinner page must not become millions of pixels long.
            scale = max(size.width / max(width, 1.0), size.height / max(height, 1.0))
            try:
                image = draw_page(require_extra(self.source.ref, PDF), page, scale)
            except PageTooComplex as error:
                raise _too_complex(self.source) from error
            finally:
                page.close()
        return DecodedPicture(resize(image, size), note_pages(self.source, self.pages))


def _too_complex(source: PictureSource) -> PermanentJobError:
    return picture_error(
        source.ref,
        "asset-too-many-pixels",
        found=f"a page of a PDF that takes more than {MAX_DRAWING_S:g} s of processor time to draw",
        allowed="a simpler page",
        hint="simplify the page, or export it as PNG",
    )


@contextmanager
def _document(source: PictureSource) -> Iterator[Any]:
    pdfium = require_extra(source.ref, PDF)
    source.file.seek(0)
    try:
        document = pdfium.PdfDocument(source.file.read())
    except pdfium.PdfiumError as error:
        if getattr(error, "err_code", None) == _PASSWORD_ERROR or "assword" in str(error):
            raise picture_error(
                source.ref,
                "asset-unsupported",
                found="PDF with a password",
                allowed="PDF without a password",
                hint="save the document without a password",
            ) from error
        raise
    try:
        yield document
    finally:
        document.close()
