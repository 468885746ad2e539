"""The storyboard: a valid payload as typed values with all defaults filled in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from previewops.contract import limits as contract
from previewops.theme_names import BUILT_IN_THEMES
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.branding import NO_BRAND, Brand, built_in_name, read_look
from previewops.worker.render.labels import Labels, labels_for
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.selection import Selection
from previewops.worker.render.text.bidi import has_strong_direction, paragraph_level
from previewops.worker.render.text.characters import is_blank
from previewops.worker.render.text.languages import (
    guess_language,
    guess_letterforms,
    is_east_asian,
    is_right_to_left,
    normalise_language,
)
from previewops.worker.render.theme import Theme
from previewops.worker.themes.definition import ThemeDefinition

DEFAULT_THUMBNAIL_BOX = Size(320, 320 * 9 // 16)
STILL_FORMATS = ("webp", "avif", "png", "jpeg")
ANIMATED_FORMATS = ("webp", "gif", "apng", "webm", "mp4")
VIDEO_FORMATS = ("webm", "mp4")  # formats with sound and fades
AVIF_SLOW, AVIF_FAST = 8, 9
_AVIF_SLOW_MAX_PX = 40_000_000  # pixels of all frames: 13 s of processor time at the slower speed


@dataclass(frozen=True, slots=True)
class Playback:
    """How an asset plays: from ``start_ms`` to ``end_ms`` (None: its end) of its own time."""

    start_ms: int
    end_ms: int | None
    muted: bool

    @property
    def is_trimmed(self) -> bool:
        return self.start_ms > 0 or self.end_ms is not None


@dataclass(frozen=True, slots=True)
class Asset:
    """One asset of the payload. ``focus`` is the point to keep in view when cropping, as fractions of the picture.

    ``page`` is that of a document, from 1; None: the first one. ``is_logo``: it is the brand's, not a step's.
    ``playback``: None: it does not play.
    """

    ref: AssetRef
    is_image: bool
    title: str
    cover: bool
    focus: tuple[float, float]
    page: int | None = None
    is_logo: bool = False
    playback: Playback | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One frame after the title card. ``number`` counts from 1.

    ``takes_time_of_assets``: the payload gives no duration, so that assets which play decide it once they are read;
    ``duration_ms`` is a lower bound until then.
    """

    number: int
    title: str
    text: str
    asset_ids: tuple[str, ...]
    duration_ms: int
    layout: str
    takes_time_of_assets: bool = False


@dataclass(frozen=True, slots=True)
class Sound:
    """The payload's sound track; ``asset_id`` is a key of ``Storyboard.assets``."""

    asset_id: str
    offset_ms: int
    gain_db: float


@dataclass(frozen=True, slots=True)
class Storyboard:
    """Content and options of one preview."""

    project: str
    title: str
    description: str
    steps: tuple[Step, ...]
    assets: dict[str, Asset]
    sound: Sound | None
    size: Size
    animations: tuple[str, ...]  # of ANIMATED_FORMATS, the main one first; none: stills only
    image_format: str  # one of STILL_FORMATS
    captions: bool
    quality: int  # 1..100, of lossy formats
    theme: Theme
    thumbnail: Size | None  # bounding box of thumbnails; None: no thumbnails
    allow_gaps: bool  # whether the render goes on without an unavailable asset; otherwise the job fails
    fades: bool  # whether a card fades into the next, in formats with fades
    fps: int  # frame rate of the fades
    playing_fps: Mapping[str, int]  # highest frame rate of assets that play, by animation
    language: str | None  # normalised BCP 47 tag, given or guessed
    language_is_given: bool
    widths: tuple[int, ...]  # of further copies of poster and frames, pixels
    selection: Selection
    asset_titles: tuple[
        str, ...
    ]  # of all assets of the payload, also of those that the selection does not need
    brand: Brand = NO_BRAND
    theme_name: str = BUILT_IN_THEMES[0]
    theme_digest: str | None = None  # of a named theme: of its file and logo

    @property
    def duration_ms(self) -> int:
        """Duration of title card and steps."""
        return contract.TITLE_CARD_MS + sum(step.duration_ms for step in self.steps)

    @property
    def cards(self) -> range:
        """The cards of frames, sheet and animation: 0 is the title card, others are the numbers of steps."""
        return self.selection.cards(len(self.steps))

    @property
    def drawn_cards(self) -> tuple[int, ...]:
        """The cards to draw: ``cards``, and the title card for the poster."""
        return self.selection.drawn_cards(len(self.steps))

    @property
    def drawn_steps(self) -> tuple[Step, ...]:
        """The steps of ``drawn_cards``."""
        return tuple(self.steps[number - 1] for number in self.drawn_cards if number)

    def intervals(self) -> Iterator[tuple[int, int, int]]:
        """Yields number, start and end (ms) of each of ``cards`` in the animation."""
        start_ms = 0
        for number in self.cards:
            end_ms = start_ms + (self.steps[number - 1].duration_ms if number else contract.TITLE_CARD_MS)
            yield number, start_ms, end_ms
            start_ms = end_ms

    @property
    def shown_ms(self) -> int:
        """Duration of ``cards``."""
        return max(end_ms for _, _, end_ms in self.intervals())

    @property
    def shown_from_ms(self) -> int:
        """Start of ``cards`` in the whole preview."""
        if self.selection.steps is None:
            return 0
        before = self.steps[: self.selection.steps[0] - 1]
        return contract.TITLE_CARD_MS + sum(step.duration_ms for step in before)

    @property
    def avif_speed(self) -> int:
        """The speed at which AVIF stills are encoded, of 10: faster in a large job, so that it stays in its time."""
        cards = len(self.cards) if "frames" in self.selection.parts else 1
        return AVIF_SLOW if self.size.pixels * cards <= _AVIF_SLOW_MAX_PX else AVIF_FAST

    @property
    def animation_sound(self) -> Sound | None:
        """The sound track, if an animation's format has sound."""
        return self.sound if set(self.animations) & set(VIDEO_FORMATS) else None

    @property
    def labels(self) -> Labels:
        """The renderer's own words in the language of the texts."""
        return labels_for(self.language)

    @property
    def shaping_language(self) -> str | None:
        """The language whose letterforms the texts have: Chinese characters in other texts have one of their own."""
        if self.language and is_east_asian(self.language):
            return self.language
        return guess_letterforms(self.texts) or self.language

    @property
    def heading(self) -> str:
        """The title, or a label that there is none."""
        return self.title or self.labels.untitled

    def step_heading(self, step: Step) -> str:
        """The title of a step; without one, the first line of its text, or its number."""
        first_line = step.text.strip().partition("\n")[0]
        return step.title or ("" if is_blank(first_line) else first_line) or self.labels.heading(step.number)

    @property
    def images(self) -> tuple[Asset, ...]:
        """The assets that are pictures, in payload order, without the logo."""
        return tuple(asset for asset in self.assets.values() if asset.is_image and not asset.is_logo)

    @property
    def logo(self) -> Asset | None:
        """The brand's logo."""
        return next((asset for asset in self.assets.values() if asset.is_logo), None)

    @property
    def thumbnailed(self) -> tuple[Asset, ...]:
        """The pictures with a thumbnail: all, or those of the steps of a range."""
        if self.thumbnail is None:
            return ()
        if self.selection.steps is None:
            return self.images
        shown = {asset.ref.id for number in self.cards for asset in self.pictures_of(self.steps[number - 1])}
        return tuple(asset for asset in self.images if asset.ref.id in shown)

    @property
    def hero_candidates(self) -> tuple[Asset, ...]:
        """The pictures that the title card may show, the preferred one first: of the steps, then the others."""
        return (*(asset for step in self.steps for asset in self.pictures_of(step)), *self.images)

    def pictures_of(self, step: Step) -> tuple[Asset, ...]:
        """The pictures of a step, in its order, without sound assets."""
        return tuple(
            self.assets[name] for name in step.asset_ids if name in self.assets and self.assets[name].is_image
        )

    @property
    def texts(self) -> Iterator[str]:
        """Every displayed text, the title first."""
        yield self.title
        yield self.description
        for step in self.steps:
            yield step.title
            yield step.text
        yield from self.asset_titles

    @property
    def right_to_left(self) -> bool:
        """Whether frames run from right to left: by a given language, else as the first text that has a direction."""
        if self.language_is_given and self.language:
            return is_right_to_left(self.language)
        return next((paragraph_level(text) == 1 for text in self.texts if has_strong_direction(text)), False)


def read_storyboard(payload: Mapping[str, Any], theme: ThemeDefinition | None = None) -> Storyboard:
    """Reads a payload that has passed ``previewops.contract.validate``. ``theme`` is the named one that it chooses.

    Raises:
        PermanentJobError: theme-unknown: it names one, and there is none.
    """
    request = payload["previewRequest"]
    options = request.get("options", {})
    formats = tuple(options.get("outputs", (options.get("format", contract.DEFAULT_FORMAT),)))
    still = next((name for name in formats if name in STILL_FORMATS), contract.DEFAULT_IMAGE_FORMAT)
    selection = Selection.from_options(options)
    assets = {entry["id"]: _asset(entry) for entry in request["assets"]}
    sound = _sound(request["audio"], assets)
    colours, brand = read_look(options, theme)
    _add_logo(brand, assets)
    playing = {name for name, asset in assets.items() if asset.playback is not None}
    animations = tuple(
        name for name in formats if name in ANIMATED_FORMATS and "animation" in selection.parts
    )
    board = Storyboard(
        project=payload["projectId"],
        title=_visible(request, "title"),
        description=_visible(request, "description"),
        steps=tuple(_step(number, entry, playing) for number, entry in enumerate(request["steps"], start=1)),
        assets=assets,
        sound=sound,
        size=Size(*map(int, options.get("resolution", contract.DEFAULT_RESOLUTION).split("x"))),
        animations=animations,
        image_format=options.get("imageFormat", still),
        captions=options.get("includeCaptions", True),
        quality=options.get("quality", contract.DEFAULT_QUALITY_PERCENT),
        theme=colours,
        thumbnail=_thumbnail(options.get("thumbnails", True)) if "thumbnails" in selection.parts else None,
        allow_gaps=options.get("onAssetError", contract.DEFAULT_ON_ASSET_ERROR) == "gap",
        fades=options.get("transition", contract.DEFAULT_TRANSITION) == "fade",
        fps=options.get("fps", contract.DEFAULT_FPS),
        playing_fps={name: options.get("fps", _default_fps(name)) for name in animations},
        language=normalise_language(options["language"]) if "language" in options else None,
        language_is_given="language" in options,
        widths=tuple(options.get("widths", ())),
        selection=selection,
        asset_titles=tuple(asset.title for asset in assets.values()),
        brand=brand,
        theme_name=theme.name if theme else built_in_name(options),
        theme_digest=theme.digest if theme else None,
    )
    if not board.language_is_given:
        board = replace(board, language=guess_language(board.texts))
    return reduce_assets(board) if selection.is_partial else board


def reduce_assets(board: Storyboard) -> Storyboard:
    """Returns ``board`` with the assets that its selection needs: no other is fetched, opened or decoded."""
    needed = {asset.ref.id for asset in board.thumbnailed}
    for number in board.drawn_cards:
        if number:
            needed.update(asset.ref.id for asset in board.pictures_of(board.steps[number - 1]))
        else:
            heroes = board.hero_candidates
            needed.update(asset.ref.id for asset in (heroes if board.allow_gaps else heroes[:1]))
    if board.drawn_cards and board.logo is not None:
        needed.add(board.logo.ref.id)
    sound = board.sound if board.animations else None
    if board.animation_sound is not None:
        needed.add(board.animation_sound.asset_id)
        for step in board.steps[: max(0, board.cards.start - 1)]:
            # Their durations decide which part of the sound belongs to the range.
            if step.takes_time_of_assets:
                needed.update(asset.ref.id for asset in board.pictures_of(step) if asset.playback is not None)
    kept = {name: asset for name, asset in board.assets.items() if name in needed}
    return replace(board, assets=kept, sound=sound)


def _default_fps(animation: str) -> int:
    return contract.DEFAULT_VIDEO_FPS if animation in VIDEO_FORMATS else contract.DEFAULT_FPS


def _visible(entry: Mapping[str, Any], name: str) -> str:
    """Returns a text; one of blanks and invisible characters alone is none."""
    text: str = entry.get(name, "")
    return "" if is_blank(text) else text


def _asset(entry: Mapping[str, Any]) -> Asset:
    focus = entry.get("focus", {})
    return Asset(
        ref=AssetRef(entry["id"], entry["uri"], entry.get("sha256")),
        is_image=entry.get("type", "image") == "image",
        title=_visible(entry, "title"),
        cover=entry.get("fit") == "cover",
        focus=(float(focus.get("x", 0.5)), float(focus.get("y", 0.5))),
        page=entry.get("page"),
        playback=_playback(entry),
    )


def _playback(entry: Mapping[str, Any]) -> Playback | None:
    if not entry.get("play") or entry.get("type", "image") != "image":
        return None
    trim = entry.get("trim", {})
    return Playback(trim.get("startMs", 0), trim.get("endMs"), entry.get("mute", True))


def _step(number: int, entry: Mapping[str, Any], playing: set[str]) -> Step:
    asset_ids = tuple(entry.get("assetIds", ()))
    plays = "durationMs" not in entry and not playing.isdisjoint(asset_ids)
    return Step(
        number=number,
        title=_visible(entry, "title"),
        text=_visible(entry, "text"),
        asset_ids=asset_ids,
        duration_ms=contract.MIN_STEP_MS if plays else entry.get("durationMs", contract.DEFAULT_STEP_MS),
        layout=entry.get("layout", "auto"),
        takes_time_of_assets=plays,
    )


def _sound(audio: Mapping[str, Any], assets: dict[str, Asset]) -> Sound | None:
    """Reads the sound track. A ``uri`` becomes an additional asset in ``assets``."""
    if "uri" in audio:
        name = _free_id("audio", assets)
        assets[name] = Asset(AssetRef(name, audio["uri"]), False, "", False, (0.5, 0.5))
    elif "assetId" in audio:
        name = audio["assetId"]
    else:
        return None
    return Sound(name, audio.get("offsetMs", 0), float(audio.get("gainDb", 0)))


def _add_logo(brand: Brand, assets: dict[str, Asset]) -> None:
    """Adds the logo as an additional asset to ``assets``."""
    if brand.logo is not None:
        name = _free_id(brand.logo.id, assets)
        ref = replace(brand.logo, id=name)
        assets[name] = Asset(ref, True, "", False, (0.5, 0.5), is_logo=True)


def _free_id(name: str, assets: Mapping[str, Asset]) -> str:
    while name in assets:
        name += "-"
    return name


def _thumbnail(option: bool | Mapping[str, Any]) -> Size | None:
    if isinstance(option, Mapping):
        return Size(option["width"], option["height"])
    return DEFAULT_THUMBNAIL_BOX if option else None
