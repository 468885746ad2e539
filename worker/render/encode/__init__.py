"""Encoders: stills, animations, video with sound, WebVTT, ThumbHash."""
