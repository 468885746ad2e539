"""The view-model: pure functions from plain values to what stands on the screen. No Textual, no Redis, no clock."""
