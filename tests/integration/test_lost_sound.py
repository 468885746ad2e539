"""A sound track that cannot be had, where gaps are allowed: the video is silent, and says so."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from previewops.errors import PermanentJobError
from tests.render_support import payload, render_into
from tests.sample_sounds import encode_sound, tone

FLAC = encode_sound(tone(2), "flac")
BREAKS_OFF = FLAC[:200] + bytes(len(FLAC) - 200)  # a header that promises, and nothing that decodes
LOST = {
    "missing": (None, "asset-missing"),
    "no-sound": (b"no sound", "asset-unsupported"),
    "breaks-off": (BREAKS_OFF, "asset-corrupt"),
}


@pytest.mark.parametrize(("content", "code"), LOST.values(), ids=LOST.keys())
def test_a_video_without_its_sound_is_silent_and_tells(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    root, out = tmp_path / "assets", tmp_path / "out"
    root.mkdir()
    if content is not None:
        (root / "track.wav").write_bytes(content)
    asked = {"audio": {"uri": "track.wav"}, "format": "webm"}
    result = render_into(out, payload([{"title": "One"}], [], **asked, onAssetError="gap"), root)
    assert [error.code for error in result.asset_errors.values()] == [code]
    assert any(warning.endswith(f"left out ({code})") for warning in result.warnings)
    with av.open(str(out / "animation.webm")) as made:
        assert [stream.type for stream in made.streams] == ["video"]
    with pytest.raises(PermanentJobError) as caught:
        render_into(tmp_path / "other", payload([{"title": "One"}], [], **asked), root)
    assert caught.value.code == code
