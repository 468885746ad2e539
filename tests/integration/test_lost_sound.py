"""An unavailable sound track with gaps allowed: the video is silent, with a warning."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from previewops.job_errors import PermanentJobError
from tests.render_support import payload, render_into
from tests.sample_sounds import encode_sound, tone

FLAC = encode_sound(tone(2), "flac")
TRUNCATED = FLAC[:200] + bytes(len(FLAC) - 200)  # a valid header without decodable data
UNAVAILABLE = {
    "missing": (None, "asset-missing"),
    "no-sound": (b"no sound", "asset-unsupported"),
    "truncated": (TRUNCATED, "asset-corrupt"),
}


@pytest.mark.parametrize(("content", "code"), UNAVAILABLE.values(), ids=UNAVAILABLE.keys())
def test_a_video_without_its_sound_is_silent_and_has_a_warning(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    root, out = tmp_path / "assets", tmp_path / "out"
    root.mkdir()
    if content is not None:
        (root / "track.wav").write_bytes(content)
    options = {"audio": {"uri": "track.wav"}, "format": "webm"}
    result = render_into(out, payload([{"title": "One"}], [], **options, onAssetError="gap"), root)
    assert [error.code for error in result.asset_errors.values()] == [code]
    assert any(warning.endswith(f"omitted ({code})") for warning in result.warnings)
    with av.open(str(out / "animation.webm")) as video:
        assert [stream.type for stream in video.streams] == ["video"]
    with pytest.raises(PermanentJobError) as caught:
        render_into(tmp_path / "other", payload([{"title": "One"}], [], **options), root)
    assert caught.value.code == code
