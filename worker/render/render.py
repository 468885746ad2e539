"""From a payload to the pictures of its bundle, in one process, each frame drawn once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from previewops.errors import PermanentJobError
from previewops.worker.assets import AssetOpener, verify_checksum
from previewops.worker.render.animate import Animator, Drawn
from previewops.worker.render.artifacts import Artifact, ArtifactWriter
from previewops.worker.render.bounds import check_sound
from previewops.worker.render.demands import check_bounds
from previewops.worker.render.encode import encode_still
from previewops.worker.render.fontfiles import FontSources
from previewops.worker.render.frames import FrameLayout
from previewops.worker.render.gallery import Gallery, Inspected, demand_a_picture, inspect
from previewops.worker.render.geometry import Size
from previewops.worker.render.layout import lay_out_frames, lay_out_title_card
from previewops.worker.render.limits import Limits
from previewops.worker.render.names import BundleNames, bundle_names
from previewops.worker.render.paint import Painter, resized
from previewops.worker.render.placeholder import Placeholder, placeholder
from previewops.worker.render.remarks import warnings_of
from previewops.worker.render.sheet import ContactSheet, SheetLayout
from previewops.worker.render.sound import SoundTrack
from previewops.worker.render.stopwatch import Stopwatch
from previewops.worker.render.storyboard import Asset, Storyboard, read_storyboard
from previewops.worker.render.tracks import tracks
from previewops.worker.render.typesetting import Typesetter, written_language

Progress = Callable[[float, str], None]


class Thumbnails(Protocol):
    """Thumbnails that were made before."""

    def find(self, asset_id: str, decoded: tuple[int, int]) -> tuple[bytes, str, str] | None:
        """Its file, ThumbHash and dominant colour, of an asset that would be decoded at ``decoded`` pixels."""


@dataclass(frozen=True, slots=True)
class RenderResult:
    """What was rendered."""

    board: Storyboard
    names: BundleNames
    artifacts: tuple[Artifact, ...]
    inspected: Mapping[str, Inspected]  # by asset id
    poster_placeholder: Placeholder
    placeholders: Mapping[str, Placeholder]  # by asset id, of those that were decoded
    sheet: SheetLayout
    lost: Mapping[str, PermanentJobError]  # by asset id: what is shown as a gap
    undrawn: tuple[str, ...]  # characters that no font has, shown as U+FFFD
    fonts: tuple[str, ...]  # names of those that were used
    warnings: tuple[str, ...]
    durations_ms: tuple[int, ...]  # of the frames, the title card first
    timings_ms: Mapping[str, float]  # by phase; they add up to the whole


def render(
    payload: Mapping[str, Any],
    *,
    opener: AssetOpener,
    writer: ArtifactWriter,
    limits: Limits,
    progress: Progress,
    fonts: FontSources | None = None,
    known: Thumbnails | None = None,
) -> RenderResult:
    """Renders a payload that has passed ``previewops.contract.validate`` and writes its pictures to ``writer``.

    ``progress`` is called with the share that is done, 0..1, and a word for what is being done. The pictures
    depend on the payload, the assets and the ``fonts`` alone, which are those of the package where none are given.

    Raises:
        PermanentJobError: resolution-too-large, too-many-steps, too-long, too-many-assets, output-too-large, or
            an asset that is missing, refused or broken.
        TransientJobError: asset-incomplete, io-error, disk-full.
        MemoryError: as it comes.
    """
    board = read_storyboard(payload)
    check_bounds(board, limits)
    watch = Stopwatch()
    with watch.phase("inspect"):
        inspected = inspect(board.assets.values(), opener, limits, gaps=board.gaps)
        check_sound(board, inspected, opener, limits, decoding=True)
    setter = typesetter(board, fonts)
    with watch.phase("layout"):
        layouts = lay_out(board, inspected, setter)
    run = _Run(
        board,
        layouts,
        inspected,
        opener=opener,
        limits=limits,
        writer=writer,
        setter=setter,
        watch=watch,
        progress=progress,
        known=known,
    )
    with watch.phase("draw"):
        run.animation()
    with watch.phase("thumbnails"):
        run.remaining_thumbnails()
    with watch.phase("sheet"):
        run.contact_sheet()
        run.tracks()
    demand_a_picture(board.assets.values(), run.lost)
    return run.result()


def typesetter(board: Storyboard, fonts: FontSources | None) -> Typesetter:
    """The typesetter for the words of ``board``."""
    return Typesetter(fonts, written_language(board.words))


def lay_out(
    board: Storyboard, inspected: Mapping[str, Inspected], setter: Typesetter
) -> tuple[FrameLayout, ...]:
    """The layouts of title card and steps, in order."""
    lost = {name for name, found in inspected.items() if found.error}
    return lay_out_frames(board, _shapes(inspected), setter, lost)


def _shapes(inspected: Mapping[str, Inspected]) -> dict[str, Size]:
    return {name: found.picture.size for name, found in inspected.items() if found.picture}


class _Run:
    """The drawing of one job, once everything is laid out."""

    def __init__(
        self,
        board: Storyboard,
        layouts: tuple[FrameLayout, ...],
        inspected: Mapping[str, Inspected],
        *,
        opener: AssetOpener,
        limits: Limits,
        writer: ArtifactWriter,
        setter: Typesetter,
        watch: Stopwatch,
        progress: Progress,
        known: Thumbnails | None,
    ) -> None:
        self.board = board
        self._setter = setter
        self._known = known
        self._opener = opener
        self._limits = limits
        self._inspected = inspected
        self.layouts = layouts
        self.writer = writer
        self.watch = watch
        self.names = bundle_names(board)
        writer.expect(self.names.certain(thumbnails=not board.gaps))
        self.sheet = ContactSheet(board, setter)
        self.placeholders: dict[str, Placeholder] = {}
        self._needed, uses = _demands(board, layouts, inspected)
        self._gallery = Gallery(
            opener,
            limits,
            inspected,
            needed=self._needed,
            uses=uses,
            watch=watch,
            decoded=self._decoded,
            gaps=board.gaps,
        )
        self.lost = self._gallery.lost
        self._painter = Painter(board, self._gallery, setter)
        self._progress = progress
        self._total = len(layouts) + len(self.names.thumbnails) + 1
        self._done = 0

    def animation(self) -> None:
        """Every frame: as a still, on the contact sheet, and in the animation where one is asked for."""
        frames = self._frames()
        if self.names.animation is None or self.board.animation is None:
            for _ in frames:
                pass
            return
        animator = Animator(
            self.board.animation,
            self.board.size,
            len(self.layouts),
            self.board.quality,
            keep=(self.board.theme.background, self.board.theme.surface),
            watch=self.watch,
            length_ms=self.board.duration_ms,
            fade_fps=self.board.fps if self.board.fades else None,
        )
        with ExitStack() as opened, self.writer.stream(self.names.animation, self.board.animation) as file:
            animator.write(file, frames, self._sound(opened))

    def _sound(self, opened: ExitStack) -> SoundTrack | None:
        """The sound track of an animation that has one, from a file that stays open as long as ``opened``."""
        heard = self.board.heard
        if heard is None or heard.asset_id in self.lost:
            return None
        ref = self.board.assets[heard.asset_id].ref
        asset = self._opener.open(ref, max_bytes=self._limits.asset_bytes)
        opened.enter_context(asset.file)
        if asset.identity != self._inspected[heard.asset_id].identity:
            verify_checksum(ref, asset)
        return SoundTrack(ref, asset.file, heard, self.board.duration_ms)

    def remaining_thumbnails(self) -> None:
        """Thumbnails of the pictures that no frame shows; those of the others were made on the way."""
        for asset in self.board.images:
            if self.board.thumbnail is None or asset.ref.id in self.placeholders:
                continue
            if not self._reused(asset):
                self._gallery.take(asset)

    def contact_sheet(self) -> None:
        """The contact sheet, once every frame is on it."""
        self._write_still(self.names.sheet, self.sheet.image)
        self._step_done("sheet")

    def tracks(self) -> None:
        """The captions, and the index into the contact sheet."""
        for path, content in tracks(self.board, self.names, self.sheet.layout).items():
            self.writer.write(path, "vtt", content)

    def result(self) -> RenderResult:
        """What was rendered, when all of it is."""
        return RenderResult(
            board=self.board,
            names=self.names,
            artifacts=tuple(self.writer.written),
            inspected=self._inspected,
            poster_placeholder=self.poster_placeholder,
            placeholders=self.placeholders,
            sheet=self.sheet.layout,
            lost=self.lost,
            undrawn=self._setter.undrawn,
            fonts=self._setter.fonts,
            warnings=warnings_of(self.board, self._inspected, self.layouts, self._setter, self.lost),
            durations_ms=tuple(layout.duration_ms for layout in self.layouts),
            timings_ms=self.watch.milliseconds(),
        )

    def _frames(self) -> Iterator[Drawn]:
        for index, layout in enumerate(self.layouts):
            image = self._painter.frame(layout) if index else self._title_card()
            still = self._write_still(self.names.frames[index], image)
            step = self.board.steps[index - 1] if index else None
            if step is None:
                self.writer.write(self.names.poster, self.board.image_format, still)
                with self.watch.phase("placeholders"):
                    self.poster_placeholder = placeholder(image, self.board.theme.background)
            with self.watch.phase("sheet"):
                heading = step.heading if step else self.board.title
                self.sheet.add(index, image, heading, layout.duration_ms)
            self._step_done("frames")
            yield Drawn(image, layout.duration_ms, self.board.image_format, still)

    def _title_card(self) -> Image.Image:
        """The title card; a picture that turns out to be lost leaves no gap there, but its place to the next."""
        layout = self.layouts[0]
        while True:
            image = self._painter.frame(layout)
            if not any(placement.asset.ref.id in self.lost for placement in layout.placements):
                return image
            layout = lay_out_title_card(self.board, _shapes(self._inspected), self._setter, self.lost.keys())

    def _reused(self, asset: Asset) -> bool:
        """Writes the asset's thumbnail as it was made before, if it was."""
        name = asset.ref.id
        if self._known is None or self.board.thumbnail is None or name in self.lost:
            return False
        found = self._known.find(name, self._needed[name])
        if found is None:
            return False
        content, thumbhash, colour = found
        self.placeholders[name] = Placeholder(thumbhash, colour)
        self.writer.write(self.names.thumbnails[name], self.board.image_format, content)
        self._step_done("thumbnails")
        return True

    def _decoded(self, asset: Asset, image: Image.Image) -> None:
        if self._reused(asset):
            return
        with self.watch.phase("placeholders"):
            self.placeholders[asset.ref.id] = placeholder(image, self.board.theme.background)
        if self.board.thumbnail is None:
            return
        with self.watch.phase("thumbnails"):
            shape = self._inspected[asset.ref.id].picture
            size = (shape.size if shape else Size(*image.size)).shrunk(self.board.thumbnail)
            small = resized(image, size)
        self._write_still(self.names.thumbnails[asset.ref.id], small)
        self._step_done("thumbnails")

    def _write_still(self, path: str, image: Image.Image) -> bytes:
        kind, theme = self.board.image_format, self.board.theme
        with self.watch.phase("encode"):
            content = encode_still(image, kind, self.board.quality, theme.background)
        with self.watch.phase("write"):
            self.writer.write(path, kind, content)
        return content

    def _step_done(self, word: str) -> None:
        self._done += 1
        self._progress(self._done / self._total, word)


def _demands(
    board: Storyboard, layouts: tuple[FrameLayout, ...], inspected: Mapping[str, Inspected]
) -> tuple[dict[str, Size], Counter[str]]:
    """For each picture the size at which the whole of it is wanted, and how often it is drawn."""
    needed: dict[str, Size] = {}
    uses: Counter[str] = Counter()

    def want(name: str, size: Size) -> None:
        if name not in needed or size.pixels > needed[name].pixels:
            needed[name] = size

    for layout in layouts:
        for placement in layout.placements:
            name = placement.asset.ref.id
            found = inspected[name].picture
            if found is not None:
                want(name, placement.needed(found.size))
                uses[name] += 1
    for name, asset in inspected.items():
        if asset.picture is not None and board.thumbnail is not None:
            want(name, asset.picture.size.shrunk(board.thumbnail))
    return needed, uses
