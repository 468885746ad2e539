"""Renders a payload: draws each frame once and writes the pictures of the bundle."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from PIL import Image

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener
from previewops.worker.render.artifacts import ArtifactWriter, WrittenArtifact
from previewops.worker.render.backing import choose_ground
from previewops.worker.render.bundle_paths import BundlePaths, choose_bundle_paths
from previewops.worker.render.bundle_warnings import collect_warnings, without_still_notes
from previewops.worker.render.decode.drawing_fonts import drawing_fonts
from previewops.worker.render.decode.srgb import resize
from previewops.worker.render.encode.animation import AddFrame, open_animation
from previewops.worker.render.encode.avif import require_avif
from previewops.worker.render.encode.frames import RenderedFrame
from previewops.worker.render.encode.sound import SoundSource, SoundTrack, check_sound
from previewops.worker.render.encode.sound_mix import ClipSound, MixedSound
from previewops.worker.render.encode.stills import encode_still
from previewops.worker.render.encode.webvtt import build_tracks
from previewops.worker.render.encoder_memory import reserve_memory
from previewops.worker.render.fitting import Fit
from previewops.worker.render.layout.frames import FrameLayout, LogoPlace, Placement
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.layout.layout import lay_out_frames, lay_out_title_card
from previewops.worker.render.layout.sheet import ContactSheet, SheetLayout
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.paint import Painter
from previewops.worker.render.picture_cache import (
    InspectedAsset,
    PictureCache,
    inspect_assets,
    require_picture,
)
from previewops.worker.render.placeholder import Placeholder, make_placeholder
from previewops.worker.render.playing import (
    DRAWS_TO_PLAY,
    StepPlayer,
    clip_sounds,
    played_assets,
    playing_placements,
    step_layouts,
    with_played_durations,
)
from previewops.worker.render.storyboard import VIDEO_FORMATS, Asset, Storyboard
from previewops.worker.render.text.fontfiles import FontSources
from previewops.worker.render.text.typesetting import Typesetter
from previewops.worker.render.timings import PhaseTimer

Progress = Callable[[float, str], None]


class ThumbnailCache(Protocol):
    """Thumbnails that an earlier job made."""

    def find(self, asset_id: str, decoded: tuple[int, int]) -> tuple[bytes, str, str] | None:
        """Returns file, ThumbHash and dominant colour of an asset; ``decoded`` is the decoding size in pixels."""


@dataclass(frozen=True, slots=True)
class RenderResult:
    """The outcome of a render."""

    storyboard: Storyboard
    paths: BundlePaths
    artifacts: tuple[WrittenArtifact, ...]
    inspected: Mapping[str, InspectedAsset]  # by asset id
    poster_placeholder: Placeholder | None  # None without a poster
    placeholders: Mapping[str, Placeholder]  # by asset id, for decoded pictures
    sheet: SheetLayout | None
    asset_errors: Mapping[str, PermanentJobError]  # by asset id: assets that the bundle lacks
    asset_notes: Mapping[str, tuple[str, ...]]  # by asset id: what is not shown of their files
    undrawn: tuple[str, ...]  # characters that no font has, drawn as U+FFFD
    fonts: tuple[str, ...]  # names of the fonts in use
    warnings: tuple[str, ...]
    timings_ms: Mapping[str, float]  # by phase; their sum is the duration of the render


def render(
    storyboard: Storyboard,
    *,
    opener: AssetOpener,
    writer: ArtifactWriter,
    limits: RenderLimits,
    progress: Progress,
    fonts: FontSources | None = None,
    thumbnail_cache: ThumbnailCache | None = None,
) -> RenderResult:
    """Renders a storyboard that ``check_limits`` has accepted, and writes its pictures to ``writer``.

    The result has the storyboard with the durations of what plays in it.

    ``progress`` receives the completed share, 0..1, and the name of the phase. The pictures depend only on the
    storyboard, the assets and ``fonts`` (default: the fonts of the package).

    Raises:
        PermanentJobError: output-too-large, image-format-unavailable, too-long, too-many-played-frames, or a missing,
            rejected or broken asset.
        TransientJobError: asset-incomplete, io-error, disk-full.
        MemoryError: from Pillow or the encoders.
    """
    if storyboard.image_format == "avif":
        require_avif()
    limits = reserve_memory(storyboard, limits)
    timer = PhaseTimer()
    with timer.phase("inspect"):
        inspected = inspect_assets(
            storyboard.assets.values(), opener, limits, allow_gaps=storyboard.allow_gaps
        )
        storyboard = with_played_durations(storyboard, inspected, limits)
        check_sound(storyboard, inspected, opener, limits, decode=True)
    typesetter = Typesetter(fonts, storyboard.shaping_language, storyboard.brand.font)
    with timer.phase("layout"):
        layouts = lay_out_cards(storyboard, inspected, typesetter)
    session = _RenderSession(
        storyboard,
        layouts,
        inspected,
        opener,
        limits,
        writer,
        typesetter,
        timer,
        progress,
        thumbnail_cache,
        fonts,
    )
    with timer.phase("draw"):
        session.draw_frames()
    with timer.phase("thumbnails"):
        session.write_remaining_thumbnails()
    with timer.phase("sheet"):
        session.write_contact_sheet()
    require_picture(storyboard.assets.values(), session.asset_errors)
    return session.result()


def lay_out_cards(
    storyboard: Storyboard, inspected: Mapping[str, InspectedAsset], typesetter: Typesetter
) -> tuple[FrameLayout, ...]:
    """Lays out the cards to draw, in order."""
    missing = {name for name, asset in inspected.items() if asset.error}
    return lay_out_frames(storyboard, _picture_sizes(inspected), typesetter, missing)


def _picture_sizes(inspected: Mapping[str, InspectedAsset]) -> dict[str, Size]:
    return {name: asset.picture.size for name, asset in inspected.items() if asset.picture}


@dataclass
class _RenderSession:
    """Draws and writes the laid-out frames of one job."""

    storyboard: Storyboard
    layouts: tuple[FrameLayout, ...]
    inspected: Mapping[str, InspectedAsset]
    opener: AssetOpener
    limits: RenderLimits
    writer: ArtifactWriter
    typesetter: Typesetter
    timer: PhaseTimer
    progress: Progress
    thumbnail_cache: ThumbnailCache | None
    fonts: FontSources | None

    def __post_init__(self) -> None:
        storyboard = self.storyboard
        self.paths = choose_bundle_paths(storyboard)
        self.writer.expect(self.paths.expected(thumbnails=not storyboard.allow_gaps))
        self.sheet = (
            ContactSheet(storyboard, self.typesetter, self._logo_shape()) if self.paths.sheet else None
        )
        self.poster_placeholder: Placeholder | None = None
        self.placeholders: dict[str, Placeholder] = {}
        self._sounds: list[SoundSource] = []
        self._decode_sizes, uses = _collect_demands(
            storyboard, self.layouts, self.inspected, self.sheet.logo_place if self.sheet else None
        )
        if storyboard.animations:
            uses += _draws_to_play(step_layouts(storyboard, self.layouts), self.inspected, self.limits)
        self._pictures = PictureCache(
            self.opener,
            self.limits,
            self.inspected,
            self._decode_sizes,
            uses,
            Counter(Fit.of(placement) for layout in self.layouts for placement in layout.placements),
            self.timer,
            self._on_decoded,
            storyboard.allow_gaps,
            drawing_fonts(self.fonts),
        )
        self.asset_errors = self._pictures.asset_errors
        self.asset_notes = self._pictures.notes
        self._painter = Painter(storyboard, self._pictures, self.typesetter)
        self._player = StepPlayer(storyboard, self._painter, self.inspected, self.limits, self._open_asset)
        self._played = played_assets(storyboard, self.layouts, self.inspected, self.limits)
        self._total = len(self.layouts) + len(self.paths.thumbnails) + bool(self.paths.sheet)
        self._done = 0

    def draw_frames(self) -> None:
        """Draws every card once: as a still, on the contact sheet, and in each animation that is requested.

        A card that plays is drawn several times in an animation.
        """
        storyboard = self.storyboard
        with ExitStack() as opened:
            kinds = zip(storyboard.animations, self.paths.animations, strict=True)
            animations = {kind: self._open_animation(kind, path, opened) for kind, path in kinds}
            for number, layout in zip(storyboard.drawn_cards, self.layouts, strict=True):
                for shown_in, frame in self._draw_card(number, layout):
                    for kind in shown_in:
                        animations[kind](frame)
                    del frame  # free it before the next one is drawn
        self._add_notes(self._player.notes)
        for sound in self._sounds:
            self._add_notes(sound.notes_by_asset())

    def _add_notes(self, notes: Mapping[str, Sequence[str]]) -> None:
        for name, listed in notes.items():
            known = self.asset_notes.get(name, ())
            self.asset_notes[name] = tuple(dict.fromkeys((*known, *listed)))

    def _open_animation(self, kind: str, path: str, opened: ExitStack) -> AddFrame:
        """Starts an animation with a sound of its own; it is complete when ``opened`` closes."""
        sound = self._open_sound(opened) if kind in VIDEO_FORMATS else None
        file = opened.enter_context(self.writer.stream(path, kind))
        return opened.enter_context(open_animation(kind, file, self.storyboard, self.timer, sound))

    def _open_sound(self, opened: ExitStack) -> SoundSource | None:
        """Opens the sound of an animation, if there is one; ``opened`` closes its files."""
        track, clips = self._open_track(opened), self._clip_sounds()
        sound: SoundSource | None = track
        if clips:
            sound = MixedSound(self.storyboard.shown_ms, clips, track, self._open_asset)
        if sound is not None:
            self._sounds.append(sound)
        return sound

    def _clip_sounds(self) -> list[ClipSound]:
        """The sounds of the videos that play, in the order of their steps; times count from the first card shown."""
        starts_ms = {number: start_ms for number, start_ms, _ in self.storyboard.intervals()}
        sounds: list[ClipSound] = []
        for number, layout in zip(self.storyboard.drawn_cards, self.layouts, strict=True):
            if number:
                playing = self._playing(number, layout)
                sounds += clip_sounds(layout, playing, self.inspected, starts_ms[number])
        return sounds

    def _playing(self, number: int, layout: FrameLayout) -> tuple[Placement, ...]:
        """The pictures of a card that play in the animations."""
        if not self.storyboard.animations or not number:
            return ()
        playing = playing_placements(layout, self.inspected, self.limits)
        return tuple(place for place in playing if place.asset.ref.id not in self.asset_errors)

    def _open_asset(self, asset: Asset, opened: ExitStack) -> BinaryIO:
        return opened.enter_context(self._pictures.open(asset))

    def _open_track(self, opened: ExitStack) -> SoundTrack | None:
        sound = self.storyboard.animation_sound
        if sound is None or sound.asset_id in self.asset_errors:
            return None
        asset = self.storyboard.assets[sound.asset_id]
        file = self._open_asset(asset, opened)
        shown_ms, from_ms = self.storyboard.shown_ms, self.storyboard.shown_from_ms
        return SoundTrack(asset.ref, file, sound, shown_ms, from_ms=from_ms)

    def write_remaining_thumbnails(self) -> None:
        """Writes the thumbnails of pictures that no frame shows; the others were written during drawing."""
        for asset in self.storyboard.thumbnailed:
            if asset.ref.id in self.placeholders:
                continue
            if not self._reuse_thumbnail(asset):
                self._pictures.get(asset)

    def write_contact_sheet(self) -> None:
        """Writes the contact sheet after the last frame, its index, and the captions."""
        if self.sheet is not None and self.paths.sheet is not None:
            if self.sheet.logo_place is not None:
                self._painter.logo.draw(self.sheet.image, self.sheet.logo_place, self.sheet.radius)
            self._write_still(self.paths.sheet, self.sheet.image)
            self._report_progress("sheet")
        layout = self.sheet.layout if self.sheet else None
        for path, content in build_tracks(self.storyboard, self.paths, layout).items():
            self.writer.write(path, "vtt", content)

    def result(self) -> RenderResult:
        """Returns the result after everything is written."""
        asset_notes = without_still_notes(self.asset_notes, self._played)
        return RenderResult(
            storyboard=self.storyboard,
            paths=self.paths,
            artifacts=tuple(self.writer.written),
            inspected=self.inspected,
            poster_placeholder=self.poster_placeholder,
            placeholders=self.placeholders,
            sheet=self.sheet.layout if self.sheet else None,
            asset_errors=self.asset_errors,
            asset_notes=asset_notes,
            undrawn=self.typesetter.undrawn,
            fonts=self.typesetter.fonts,
            warnings=collect_warnings(
                self.storyboard,
                self.inspected,
                self.layouts,
                self.typesetter,
                asset_errors=self.asset_errors,
                asset_notes=asset_notes,
                played=self._played,
            ),
            timings_ms=self.timer.elapsed_ms(),
        )

    def _draw_card(self, number: int, layout: FrameLayout) -> Iterator[tuple[tuple[str, ...], RenderedFrame]]:
        """Draws a card, and writes its stills; yields its frames and the animations that each is for."""
        image = self._painter.draw_frame(layout) if number else self._draw_title_card()
        if self.sheet is not None and number in self.storyboard.cards:
            with self.timer.phase("sheet"):
                step = self.storyboard.steps[number - 1] if number else None
                heading = self.storyboard.step_heading(step) if step else self.storyboard.heading
                self.sheet.add(number, image, heading, layout.duration_ms)
        self._painter.draw_footer(image, layout)
        stills: tuple[bytes, ...] = ()
        if number in self.paths.frames:
            stills = self._write_picture(self.paths.frames[number], image)
        if number == 0 and self.paths.poster is not None:
            stills = self._write_picture(self.paths.poster, image, stills)
            with self.timer.phase("placeholders"):
                self.poster_placeholder = make_placeholder(image, self.storyboard.theme.background)
        playing = self._playing(number, layout)
        if playing:
            yield from self._player.frames(layout, playing, image, self._report_share)
        elif number in self.storyboard.cards:
            still = stills[0] if stills else None
            yield self.storyboard.animations, RenderedFrame(image, layout.duration_ms, still)
        self._report_progress("frames")

    def _write_picture(
        self, path: str, image: Image.Image, stills: tuple[bytes, ...] = ()
    ) -> tuple[bytes, ...]:
        """Writes a picture and its copies; returns their files. ``stills`` are these files if they are encoded."""
        sizes = {path: image.size} | {copy.path: copy.size for copy in self.paths.copies[path]}
        if stills:
            for name, content in zip(sizes, stills, strict=True):
                self.writer.write(name, self.storyboard.image_format, content)
            return stills
        encoded = []
        for name, size in sizes.items():
            with self.timer.phase("draw"):
                scaled = resize(image, size)
            encoded.append(self._write_still(name, scaled))
        return tuple(encoded)

    def _draw_title_card(self) -> Image.Image:
        """Draws the title card. If its picture fails to decode, the next picture takes its place."""
        layout = self.layouts[0]  # the first card that is drawn
        while True:
            image = self._painter.draw_frame(layout)
            if not any(placement.asset.ref.id in self.asset_errors for placement in layout.placements):
                return image
            layout = lay_out_title_card(
                self.storyboard, _picture_sizes(self.inspected), self.typesetter, self.asset_errors.keys()
            )

    def _reuse_thumbnail(self, asset: Asset) -> bool:
        """Writes the thumbnail from the cache; returns False if the cache lacks it."""
        name = asset.ref.id
        if self.thumbnail_cache is None or self.storyboard.thumbnail is None or name in self.asset_errors:
            return False
        cached = self.thumbnail_cache.find(name, self._decode_sizes[name])
        if cached is None:
            return False
        content, thumbhash, colour = cached
        self.placeholders[name] = Placeholder(thumbhash, colour)
        self.writer.write(self.paths.thumbnails[name], self.storyboard.image_format, content)
        self._report_progress("thumbnails")
        return True

    def _logo_shape(self) -> Size | None:
        logo = self.storyboard.logo
        return _picture_sizes(self.inspected).get(logo.ref.id) if logo else None

    def _on_decoded(self, asset: Asset, image: Image.Image) -> None:
        if asset.is_logo:
            return
        has_thumbnail = asset.ref.id in self.paths.thumbnails
        if has_thumbnail and self._reuse_thumbnail(asset):
            return
        with self.timer.phase("placeholders"):
            self.placeholders[asset.ref.id] = make_placeholder(image, self.storyboard.theme.background)
        if self.storyboard.thumbnail is None or not has_thumbnail:
            return
        with self.timer.phase("thumbnails"):
            shape = self.inspected[asset.ref.id].picture
            size = (shape.size if shape else Size(*image.size)).shrunk(self.storyboard.thumbnail)
            small = resize(image, size)
        self._write_still(self.paths.thumbnails[asset.ref.id], small)
        self._report_progress("thumbnails")

    def _write_still(self, path: str, image: Image.Image) -> bytes:
        kind, theme = self.storyboard.image_format, self.storyboard.theme
        with self.timer.phase("encode"):
            ground = choose_ground(image, theme.background, theme.backing)
            speed = self.storyboard.avif_speed
            content = encode_still(image, kind, self.storyboard.quality, ground, avif_speed=speed)
        with self.timer.phase("write"):
            self.writer.write(path, kind, content)
        return content

    def _report_share(self, share: float) -> None:
        """Reports the completed share of the current frame."""
        self.progress((self._done + share) / self._total, "frames")

    def _report_progress(self, step: str) -> None:
        self._done += 1
        self.progress(self._done / self._total, step)


def _draws_to_play(
    layouts: Sequence[FrameLayout], inspected: Mapping[str, InspectedAsset], limits: RenderLimits
) -> Counter[str]:
    """Returns how often each picture is drawn more for cards that play."""
    uses: Counter[str] = Counter()
    for layout in layouts:
        playing = playing_placements(layout, inspected, limits)
        for placement in playing:
            motion = inspected[placement.asset.ref.id].motion
            if motion is not None and not motion.is_opaque:
                uses[placement.asset.ref.id] += 1  # for what is below it
        if playing:
            for placement in layout.placements:
                uses[placement.asset.ref.id] += DRAWS_TO_PLAY
    return uses


def _collect_demands(
    storyboard: Storyboard,
    layouts: tuple[FrameLayout, ...],
    inspected: Mapping[str, InspectedAsset],
    sheet_logo: LogoPlace | None,
) -> tuple[dict[str, Size], Counter[str]]:
    """Returns for each picture the size to decode it at, and how often it is drawn; the logo is kept drawn."""
    decode_sizes: dict[str, Size] = {}
    uses: Counter[str] = Counter()

    def need(name: str, size: Size) -> None:
        if name not in decode_sizes or size.pixels > decode_sizes[name].pixels:
            decode_sizes[name] = size

    for layout in layouts:
        for placement in layout.placements:
            name = placement.asset.ref.id
            picture = inspected[name].picture
            if picture is not None:
                need(name, placement.decode_size(picture.size))
                uses[name] += 1
    logo = storyboard.logo
    if logo is not None:
        uses[logo.ref.id] = 1
        for place in (*(layout.logo for layout in layouts), sheet_logo):
            if place is not None:
                need(logo.ref.id, place.decode_size)
    for image in storyboard.thumbnailed:
        picture = inspected[image.ref.id].picture
        if picture is not None and storyboard.thumbnail is not None:
            need(image.ref.id, picture.size.shrunk(storyboard.thumbnail))
    return decode_sizes, uses
