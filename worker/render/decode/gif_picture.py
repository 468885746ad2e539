"""GIF pictures and animations."""

from __future__ import annotations

from dataclasses import dataclass, replace

from PIL import Image

from previewops.job_errors import JobError
from previewops.worker.render.decode.errors import too_many_frames, too_many_pixels, too_much_memory
from previewops.worker.render.decode.gif_file import GifCanvas, GifFile, read_gif
from previewops.worker.render.decode.memory import PictureLayout, bytes_per_pixel
from previewops.worker.render.decode.open_picture import (
    CUT,
    DecodedPicture,
    PictureHeader,
    PictureSource,
    decode_scale,
)
from previewops.worker.render.decode.representative_frame import representative_frame
from previewops.worker.render.decode.srgb import drop_opaque_alpha, resize
from previewops.worker.render.layout.geometry import Size


@dataclass(frozen=True, slots=True)
class GifPicture:
    """An open GIF file."""

    source: PictureSource
    gif: GifFile

    @classmethod
    def open(cls, source: PictureSource) -> GifPicture:
        """Reads the blocks. Raises PermanentJobError for a limit, ValueError for a file without a frame."""
        limits = source.limits
        gif = read_gif(source.file, limits.frames)
        # A frame outside of the canvas is decoded as well.
        size = max((gif.size, *(frame.box.size for frame in gif.frames)), key=lambda size: size.pixels)
        name = f"{size.width}x{size.height}"
        if size.pixels > limits.frame_pixels:
            raise too_many_pixels(source.ref, f"{name}, {size.pixels} pixels", limits)
        frames = len(gif.frames)
        if frames > limits.frames or frames * size.pixels > limits.total_pixels:
            raise too_many_frames(source.ref, frames, name, limits)
        is_plain = frames == 1 and gif.frames[0].transparent is None and gif.frames[0].box.size == gif.size
        layout = PictureLayout("GIF", "P", frames, transparency=not is_plain)
        allowed = int(limits.decoder_bytes / bytes_per_pixel(layout))
        if size.pixels > allowed:
            raise too_much_memory(source.ref, name, "GIF", allowed)
        return cls(source, gif)

    @property
    def header(self) -> PictureHeader:
        return PictureHeader("gif", self.gif.size, len(self.gif.frames), 1)

    @property
    def whole(self) -> GifFile:
        """The file without a last frame that is cut, unless that is the only one."""
        if self.gif.frames[-1].is_cut and len(self.gif.frames) > 1:
            return replace(self.gif, frames=self.gif.frames[:-1], is_cut=True)
        return self.gif

    def decode(self, needed: Size) -> DecodedPicture:
        """See ``OpenPicture``. Frames behind one that is cut or damaged are left out."""
        gif = self.whole
        canvas = GifCanvas(self.source.file, gif)
        notes = (CUT,) if gif.is_cut else ()
        try:
            image = _representative(canvas, len(gif.frames), gif.size)
        except (JobError, MemoryError):
            raise
        except Exception:  # on malformed data decoders raise any exception
            if canvas.position == 0:
                raise
            image = _representative(canvas, canvas.position, gif.size)
            notes = (f"frames from {canvas.position + 1} on are damaged and left out",)
        return DecodedPicture(drop_opaque_alpha(resize(image, decode_scale(gif.size, needed))), notes)


def _representative(canvas: GifCanvas, frames: int, size: Size) -> Image.Image:
    return canvas.frame_at(representative_frame(canvas.frame_at, frames, size))
