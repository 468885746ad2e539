"""Generated sounds in all supported formats."""

from __future__ import annotations

import math
import struct
import wave
from functools import cache
from io import BytesIO
from typing import Any

import av

RATE = 48_000
KINDS = {
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "ogg": ("ogg", "flac"),
    "opus": ("ogg", "libopus"),
    "flac": ("flac", "flac"),
    "aac": ("adts", "aac"),
    "m4a": ("mp4", "aac"),
}


@cache
def tone(
    seconds: float, *, rate: int = RATE, channels: int = 1, hertz: int = 440, level: float = 0.5
) -> bytes:
    """Returns a WAV file with a sine tone: its first second, which is a whole number of waves, again and again."""
    file = BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        count = round(seconds * rate)
        step = 2 * math.pi * hertz / rate
        second = [round(level * 32_767 * math.sin(step * at)) for at in range(min(count, rate))]
        frames = b"".join(struct.pack("<h", value) * channels for value in second)
        sound.writeframes((frames * math.ceil(seconds))[: count * 2 * channels])
    return file.getvalue()


def encode_sound(wav: bytes, kind: str) -> bytes:
    """Converts a WAV file to another format."""
    container, codec = KINDS[kind]
    file = BytesIO()
    with av.open(BytesIO(wav)) as source, av.open(file, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=RATE)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return file.getvalue()


def measure_loudness(video: bytes) -> list[float]:
    """Returns the peak of each 10 ms of a video's sound, 0..1."""
    samples: list[float] = []
    with av.open(BytesIO(video)) as container:
        resampler = av.AudioResampler("flt", "mono", RATE)
        for frame in [*container.decode(audio=0), None]:
            for made in resampler.resample(frame):
                samples += struct.unpack(f"<{made.samples}f", bytes(made.planes[0])[: 4 * made.samples])
    return [max(map(abs, samples[at : at + 480])) for at in range(0, len(samples), 480)]
