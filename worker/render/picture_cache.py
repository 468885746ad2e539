"""The pictures of one job: inspected once, decoded once at the needed size, dropped after the last use."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

from PIL import Image

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener, verify_checksum
from previewops.worker.render.decode.motion import Motion
from previewops.worker.render.decode.open_picture import PictureHeader
from previewops.worker.render.fitting import Fit, fit_picture
from previewops.worker.render.layout.frames import Placement
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import decode_picture, measure_motion, read_header
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.timings import PhaseTimer


@dataclass(frozen=True, slots=True)
class InspectedAsset:
    """The result of inspecting an asset. ``picture`` is None for sound and for a failed asset."""

    size_bytes: int
    identity: tuple[int | str, ...]
    picture: PictureHeader | None
    error: PermanentJobError | None = None
    motion: Motion | None = None  # of an asset that plays


def inspect_assets(
    assets: Iterable[Asset], opener: AssetOpener, limits: RenderLimits, *, allow_gaps: bool = False
) -> dict[str, InspectedAsset]:
    """Opens every asset, verifies its checksum and reads its header, without decoding.

    With ``allow_gaps`` a permanent error of an asset is recorded, not raised, as long as one picture is left.

    Raises:
        PermanentJobError: from ``opener``, ``verify_checksum`` and ``read_header``.
        TransientJobError: from ``opener``.
    """
    inspected: dict[str, InspectedAsset] = {}
    for asset in assets:
        try:
            inspected[asset.ref.id] = _inspect(asset, opener, limits)
        except PermanentJobError as error:
            if not allow_gaps:
                raise
            inspected[asset.ref.id] = InspectedAsset(0, (), None, error)
    require_picture(assets, {name: entry.error for name, entry in inspected.items() if entry.error})
    return inspected


def require_picture(assets: Iterable[Asset], errors: Mapping[str, PermanentJobError]) -> None:
    """Rejects a preview none of whose pictures is available, even with gaps allowed.

    Raises:
        PermanentJobError: the error of the first picture, if ``errors`` has all pictures.
    """
    pictures = [asset.ref.id for asset in assets if asset.is_image and not asset.is_logo]
    if pictures and all(name in errors for name in pictures):
        raise errors[pictures[0]]


def _inspect(asset: Asset, opener: AssetOpener, limits: RenderLimits) -> InspectedAsset:
    opened = opener.open(asset.ref, max_bytes=limits.asset_bytes)
    with opened.file:
        verify_checksum(asset.ref, opened)
        picture = read_header(asset.ref, opened.file, limits, page=asset.page) if asset.is_image else None
        motion = (
            measure_motion(asset.ref, opened.file, limits, asset.playback)
            if asset.playback is not None
            else None
        )
        return InspectedAsset(opened.size, opened.identity, picture, motion=motion)


@dataclass(slots=True)
class PictureCache:
    """Decodes pictures on demand.

    ``decode_sizes`` has the size to decode each picture at, ``uses`` how often it is needed, and ``fits`` how often
    in the size of a box. ``on_decoded`` is called once per decoded picture. ``asset_errors`` has the errors of
    unavailable assets; with ``allow_gaps`` decoding errors are added to it, otherwise they are raised. ``notes`` has
    what decoded pictures do not show of their files.
    """

    opener: AssetOpener
    limits: RenderLimits
    inspected: Mapping[str, InspectedAsset]
    decode_sizes: Mapping[str, Size]
    uses: Counter[str]
    fits: Counter[Fit]
    timer: PhaseTimer
    on_decoded: Callable[[Asset, Image.Image], None]
    allow_gaps: bool
    fonts: tuple[str, ...] = ()  # files for text in drawings
    asset_errors: dict[str, PermanentJobError] = field(init=False)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _seen: set[str] = field(default_factory=set)
    _kept: OrderedDict[str | Fit, Image.Image] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        self.asset_errors = {name: asset.error for name, asset in self.inspected.items() if asset.error}

    def get(self, asset: Asset) -> Image.Image | None:
        """Returns the picture of ``asset``: upright, sRGB, mode RGB or RGBA. None if it is unavailable.

        Raises:
            PermanentJobError, TransientJobError: as ``inspect_assets``; asset-corrupt if decoding fails.
        """
        name = asset.ref.id
        if name in self.asset_errors:
            return None
        image = self._kept.get(name)
        if image is None:
            try:
                with self.timer.phase("decode"), self.open(asset) as file:
                    decoded = decode_picture(
                        asset.ref,
                        file,
                        self.limits,
                        self.decode_sizes[name],
                        page=asset.page,
                        fonts=self.fonts,
                        playback=asset.playback,
                    )
            except PermanentJobError as error:
                if not self.allow_gaps:
                    raise
                self.asset_errors[name] = error
                return None
            image = decoded.image
            if name not in self._seen:
                self._seen.add(name)
                if decoded.notes:
                    self.notes[name] = decoded.notes
                self.on_decoded(asset, image)
        self.uses[name] -= 1
        self._keep(name, image, self.uses[name])
        return image

    def fitted(self, picture: Image.Image, placement: Placement) -> Image.Image:
        """Returns ``picture``, that of the asset of ``placement``, cropped and scaled to its box."""
        fit = Fit.of(placement)
        image = self._kept.get(fit)
        if image is None:
            image = fit_picture(picture, placement)
        self.fits[fit] -= 1
        if image is not picture:
            self._keep(fit, image, self.fits[fit])
        return image

    @contextmanager
    def open(self, asset: Asset) -> Iterator[BinaryIO]:
        """Opens ``asset``; verifies its checksum again if the file was replaced after its inspection."""
        opened = self.opener.open(asset.ref, max_bytes=self.limits.asset_bytes)
        with opened.file:
            if opened.identity != self.inspected[asset.ref.id].identity:
                verify_checksum(asset.ref, opened)
            yield opened.file

    def _keep(self, key: str | Fit, image: Image.Image, uses: int) -> None:
        """Keeps ``image`` if it is used again."""
        if uses > 0:
            self._kept[key] = image
            self._kept.move_to_end(key)
            self._evict()
        else:
            self._kept.pop(key, None)

    def _evict(self) -> None:
        """Drops the least recently used pictures above the memory limit; a later use decodes them again."""
        # Pillow stores RGB and RGBA in four bytes per pixel.
        kept_bytes = sum(4 * image.width * image.height for image in self._kept.values())
        while len(self._kept) > 1 and kept_bytes > self.limits.decoded_bytes:
            _, dropped = self._kept.popitem(last=False)
            kept_bytes -= 4 * dropped.width * dropped.height
