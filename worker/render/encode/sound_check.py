"""Whether the sound of a job is sound, checked before anything is drawn."""

from __future__ import annotations

from previewops.errors import PermanentJobError
from previewops.worker.assets.opener import AssetOpener
from previewops.worker.render.encode.sound import SoundTrack, detect_sound_format
from previewops.worker.render.limits import RenderLimits
from previewops.worker.render.picture_cache import InspectedAsset
from previewops.worker.render.storyboard import Storyboard


def check_sound(
    board: Storyboard,
    inspected: dict[str, InspectedAsset],
    opener: AssetOpener,
    limits: RenderLimits,
    *,
    decode: bool,
) -> None:
    """Refuses a sound track that is none; where gaps are allowed, marks it in ``inspected`` as lost instead.

    With ``decoding`` a sound that may be left out is decoded to its end, as a video that has begun with a sound track
    cannot go on without it. One that may not be left out shows its faults when the video is made.

    Raises:
        PermanentJobError: asset-unsupported, and what ``opener`` raises.
        TransientJobError: what ``opener`` raises.
    """
    sound = board.animation_sound
    if sound is None or inspected[sound.asset_id].error is not None:
        return
    ref = board.assets[sound.asset_id].ref
    try:
        with opener.open(ref, max_bytes=limits.asset_bytes).file as file:
            detect_sound_format(ref, file)
            if decode and board.allow_gaps:
                for _ in SoundTrack(ref, file, sound, board.duration_ms).frames():
                    pass
    except PermanentJobError as error:
        if not board.allow_gaps:
            raise
        inspected[sound.asset_id] = InspectedAsset(0, (), None, error)
