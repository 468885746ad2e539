"""The pictures of one job: inspected once, decoded once at the needed size, dropped after the last use."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PIL import Image

from previewops.errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener, OpenedAsset, verify_checksum
from previewops.worker.render.layout.geometry import Size
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.pictures import PictureHeader, decode_picture, read_header
from previewops.worker.render.storyboard import Asset
from previewops.worker.render.timings import PhaseTimer


@dataclass(frozen=True, slots=True)
class InspectedAsset:
    """The result of inspecting an asset. ``picture`` is None for sound and for a failed asset."""

    size_bytes: int
    identity: tuple[int | str, ...]
    picture: PictureHeader | None
    error: PermanentJobError | None = None


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
    pictures = [asset.ref.id for asset in assets if asset.is_image]
    if pictures and all(name in errors for name in pictures):
        raise errors[pictures[0]]


def _inspect(asset: Asset, opener: AssetOpener, limits: RenderLimits) -> InspectedAsset:
    opened = opener.open(asset.ref, max_bytes=limits.asset_bytes)
    with opened.file:
        verify_checksum(asset.ref, opened)
        picture = read_header(asset.ref, opened.file, limits) if asset.is_image else None
        return InspectedAsset(opened.size, opened.identity, picture)


class PictureCache:
    """Decodes pictures on demand.

    ``decode_sizes`` has the size to decode each picture at, ``uses`` how often it is needed. ``on_decoded`` is
    called once per decoded picture. ``asset_errors`` has the errors of unavailable assets; with ``allow_gaps``
    decoding errors are added to it, otherwise they are raised.
    """

    def __init__(
        self,
        opener: AssetOpener,
        limits: RenderLimits,
        inspected: Mapping[str, InspectedAsset],
        *,
        decode_sizes: Mapping[str, Size],
        uses: Counter[str],
        timer: PhaseTimer,
        on_decoded: Callable[[Asset, Image.Image], None],
        allow_gaps: bool = False,
    ) -> None:
        self.asset_errors = {
            name: asset.error for name, asset in inspected.items() if asset.error is not None
        }
        self._gaps = allow_gaps
        self._opener = opener
        self._limits = limits
        self._inspected = inspected
        self._needed = decode_sizes
        self._uses = Counter(uses)
        self._watch = timer
        self._decoded = on_decoded
        self._seen: set[str] = set()
        self._kept: OrderedDict[str, Image.Image] = OrderedDict()

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
                with self._watch.phase("decode"):
                    image = self._decode(asset)
            except PermanentJobError as error:
                if not self._gaps:
                    raise
                self.asset_errors[name] = error
                return None
            if name not in self._seen:
                self._seen.add(name)
                self._decoded(asset, image)
        self._uses[name] -= 1
        if self._uses[name] > 0:
            self._kept[name] = image
            self._kept.move_to_end(name)
            self._evict()
        else:
            self._kept.pop(name, None)
        return image

    def _decode(self, asset: Asset) -> Image.Image:
        opened = self._opener.open(asset.ref, max_bytes=self._limits.asset_bytes)
        with opened.file:
            self._reverify(asset, opened)
            return decode_picture(asset.ref, opened.file, self._limits, self._needed[asset.ref.id])

    def _reverify(self, asset: Asset, opened: OpenedAsset) -> None:
        """Verifies the checksum again if the file was replaced after its inspection."""
        if opened.identity != self._inspected[asset.ref.id].identity:
            verify_checksum(asset.ref, opened)

    def _evict(self) -> None:
        """Drops the least recently used pictures above the memory limit; a later use decodes them again."""
        while (
            len(self._kept) > 1 and sum(map(_decoded_bytes, self._kept.values())) > self._limits.decoded_bytes
        ):
            self._kept.popitem(last=False)


def _decoded_bytes(image: Image.Image) -> int:
    """Returns the bytes of a decoded picture: Pillow stores RGB and RGBA in four bytes per pixel."""
    return image.width * image.height * 4
