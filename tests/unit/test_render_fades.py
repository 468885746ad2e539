"""Frames of a fade: in order, without gaps, at most half of the card."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from previewops.worker.render.encode.video import fade_frames


@given(st.integers(100, 60_000), st.integers(1, 60))
def test_every_frame_rate_has_a_fade(duration_ms: int, fps: int) -> None:
    frames = list(fade_frames(1_000, duration_ms, fps))
    shares = [share for share, _, _ in frames]
    assert shares
    assert shares == sorted(set(shares))
    assert all(0 < share < 1 for share in shares)
    assert frames[0][1] == 1_000
    assert all(before[2] == after[1] for before, after in pairwise(frames))
    assert all(start < end for _, start, end in frames)
    assert frames[-1][2] <= 1_000 + min(400, duration_ms // 2)


def test_a_low_frame_rate_has_one_frame_of_the_full_length() -> None:
    assert list(fade_frames(0, 2_000, 1)) == [(0.5, 0, 400)]
