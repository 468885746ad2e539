"""Whether the sound of a job is sound, checked before anything is drawn."""

from __future__ import annotations

from previewops.errors import PermanentJobError
from previewops.worker.assets import AssetOpener
from previewops.worker.render.gallery import Inspected
from previewops.worker.render.limits import Limits
from previewops.worker.render.sound import SoundTrack, demand_sound
from previewops.worker.render.storyboard import Storyboard


def check_sound(
    board: Storyboard,
    inspected: dict[str, Inspected],
    opener: AssetOpener,
    limits: Limits,
    *,
    decoding: bool,
) -> None:
    """Refuses a sound track that is none; where gaps are allowed, marks it in ``inspected`` as lost instead.

    With ``decoding`` a sound that may be left out is decoded to its end, as a video that has begun with a sound track
    cannot go on without it. One that may not be left out shows its faults when the video is made.

    Raises:
        PermanentJobError: asset-unsupported, and what ``opener`` raises.
        TransientJobError: what ``opener`` raises.
    """
    heard = board.heard
    if heard is None or inspected[heard.asset_id].error is not None:
        return
    ref = board.assets[heard.asset_id].ref
    try:
        with opener.open(ref, max_bytes=limits.asset_bytes).file as file:
            demand_sound(ref, file)
            if decoding and board.gaps:
                for _ in SoundTrack(ref, file, heard, board.duration_ms).frames():
                    pass
    except PermanentJobError as refused:
        if not board.gaps:
            raise
        inspected[heard.asset_id] = Inspected(0, (), None, refused)
