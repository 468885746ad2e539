"""The screen over a live queue: reading and acting through the core."""
