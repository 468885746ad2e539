"""When ages on the screen are drawn again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from previewops.tui.viewmodel.durations import age_step, coarse_duration


@given(
    now_ms=st.integers(10**12, 10**12 + 10**6), age_ms=st.integers(0, 10**6), later_ms=st.integers(0, 10**5)
)
def test_an_age_lags_ten_seconds_at_most(now_ms: int, age_ms: int, later_ms: int) -> None:
    """An age that was drawn at ``now_ms`` and not again until ``later_ms`` later."""
    then_ms = now_ms - age_ms
    if age_step(now_ms, then_ms) != age_step(now_ms + later_ms, then_ms):
        return
    lag_ms = 1_000 if age_ms + later_ms <= 60_000 else 10_000
    assert later_ms <= lag_ms
    drawn, due = coarse_duration(age_ms), coarse_duration(max(0, age_ms + later_ms - lag_ms))
    assert coarse_duration(age_ms + later_ms) == drawn or due in (drawn, coarse_duration(age_ms))


def test_an_age_of_eighty_seconds_is_not_drawn_as_forty() -> None:
    then_ms = 10**12 + 13_000
    steps = {age_step(then_ms + age_ms, then_ms) for age_ms in range(40_000, 82_000, 1_000)}
    assert len(steps) > 20
    assert age_step(5, None) == age_step(9_999, None)
