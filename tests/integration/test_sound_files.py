"""Sound files that are damaged or unusual, decoded as browsers play them, with a note of what is not heard."""

from __future__ import annotations

import random
import struct
from io import BytesIO

import av
import pytest

from previewops.job_errors import PermanentJobError
from previewops.worker.assets.opener import AssetRef
from previewops.worker.render.decode.sound_file import SAMPLES_PER_S, SoundFile
from tests.sample_sounds import KINDS, encode_sound, tone

REF = AssetRef("it", "it")
SECONDS = 4.0
SOUNDS = {kind: encode_sound(tone(SECONDS), kind) for kind in KINDS}
SOUNDS["mp3"] = SOUNDS["mp3"][SOUNDS["mp3"].index(b"\xff\xfb") :]  # without its tag


def heard(content: bytes) -> tuple[float, list[str]]:
    """Seconds that are decoded, and the notes."""
    source = SoundFile.open(REF, BytesIO(content))
    samples = sum(frame.samples for frame in source.frames())
    return samples / SAMPLES_PER_S, source.notes


def id3(size: int) -> bytes:
    """A tag with ``size`` bytes of content, as of a picture."""
    return b"ID3\x04\0\0" + bytes(size >> shift & 127 for shift in (21, 14, 7, 0)) + b"\x11" * size


def encoded(kind: str, *, rate: int, layout: str, seconds: float = 2.0) -> bytes:
    container, codec = {"mp3": ("mp3", "libmp3lame"), "ogg": ("ogg", "flac")}[kind]
    file = BytesIO()
    with av.open(BytesIO(tone(seconds))) as source, av.open(file, "w", format=container) as target:
        stream = target.add_stream(codec, rate=rate)
        stream.codec_context.layout = layout  # type: ignore[attr-defined]
        resampler = av.AudioResampler(
            stream.codec_context.format.name if stream.codec_context.format else "s16", layout, rate
        )  # type: ignore[attr-defined]
        for frame in [*source.decode(audio=0), None]:
            for made in resampler.resample(frame):
                target.mux(stream.encode(made))  # type: ignore[attr-defined]
        target.mux(stream.encode(None))  # type: ignore[attr-defined]
    return file.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_sound_has_no_notes(kind: str) -> None:
    seconds, notes = heard(SOUNDS[kind])
    assert seconds == pytest.approx(SECONDS, abs=0.1)
    assert notes == []


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "wav", "ogg"])
@pytest.mark.parametrize("size", [20, 400_000])
def test_a_sound_behind_tags_is_played(kind: str, size: int) -> None:
    for tags in (id3(size), id3(size) + id3(30), id3(size) + bytes(500) * (kind in ("mp3", "aac"))):
        seconds, notes = heard(tags + SOUNDS[kind])
        assert seconds == pytest.approx(SECONDS, abs=0.1)
        assert notes == []


@pytest.mark.parametrize("kind", ["mp3", "aac"])
@pytest.mark.parametrize(
    "junk",
    [bytes(731), b"<html>junk</html>" * 40, random.Random(1).randbytes(9_000)],
    ids=["zeros", "page", "noise"],
)
def test_a_sound_behind_junk_is_played_with_a_note(kind: str, junk: bytes) -> None:
    seconds, notes = heard(junk + SOUNDS[kind])
    assert seconds == pytest.approx(SECONDS, abs=0.1)
    assert notes == [f"the first {len(junk)} bytes are not sound and were skipped"]


@pytest.mark.parametrize("kind", ["mp3", "aac", "flac", "m4a", "opus"])
def test_a_damaged_part_is_silent_and_the_rest_keeps_its_time(kind: str) -> None:
    content = bytearray(SOUNDS[kind])
    middle = len(content) // 2
    content[middle : middle + 600] = random.Random(kind).randbytes(600)
    seconds, _ = heard(bytes(content))
    assert seconds == pytest.approx(SECONDS, abs=0.6)


def test_a_damaged_part_is_noted() -> None:
    content = bytearray(SOUNDS["m4a"])
    middle = content.index(b"mdat") + 20_000
    content[middle : middle + 2_000] = bytes(2_000)
    seconds, notes = heard(bytes(content))
    assert seconds == pytest.approx(SECONDS, abs=0.1)
    assert notes
    assert notes[0].endswith("s of the sound are damaged and silent")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("m4a", "aac")])
def test_a_sound_cut_in_half_is_played_with_a_note(kind: str) -> None:
    seconds, notes = heard(SOUNDS[kind][: len(SOUNDS[kind]) // 2])
    assert SECONDS / 2 - 1 < seconds < SECONDS / 2 + 0.9
    assert any("missing" in note or "cut" in note for note in notes)


def test_an_m4a_whose_data_is_cut_is_played_with_a_note() -> None:
    file = BytesIO()
    with (
        av.open(BytesIO(tone(SECONDS))) as source,
        av.open(file, "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov"}) as target,
    ):
        stream = target.add_stream("aac", rate=48_000)
        for frame in source.decode(audio=0):
            target.mux(stream.encode(frame))  # type: ignore[attr-defined]
        target.mux(stream.encode(None))  # type: ignore[attr-defined]
    whole = file.getvalue()
    assert heard(whole)[0] == pytest.approx(SECONDS, abs=0.1)
    with pytest.raises(PermanentJobError):
        heard(SOUNDS["m4a"][: len(SOUNDS["m4a"]) // 2])  # its index is at the end


@pytest.mark.parametrize(("rate", "layout"), [(22_050, "stereo"), (48_000, "mono"), (44_100, "stereo")])
@pytest.mark.parametrize("kind", ["mp3", "ogg"])
def test_rate_and_channels_may_change_midway(kind: str, rate: int, layout: str) -> None:
    content = encoded(kind, rate=48_000, layout="stereo") + encoded(kind, rate=rate, layout=layout)
    seconds, notes = heard(content)
    assert seconds == pytest.approx(4.0, abs=0.2)
    assert all("damaged" in note for note in notes), "the tag of the second file may count as damage"


def test_a_wav_written_to_a_pipe_is_whole() -> None:
    for claimed in (0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF024):
        content = bytearray(SOUNDS["wav"])
        at = content.index(b"data") + 4
        content[at : at + 4] = struct.pack("<I", claimed)
        assert heard(bytes(content)) == (pytest.approx(SECONDS, abs=0.1), [])


@pytest.mark.parametrize(
    "content",
    [b"", b"no sound at all", b"\x89PNG\r\n\x1a\n", b"OggS" + bytes(90), SOUNDS["flac"][:200] + bytes(9_000)],
    ids=["empty", "text", "picture", "page", "header"],
)
def test_errors_are_in_words_of_this_program(content: bytes) -> None:
    with pytest.raises(PermanentJobError) as caught:
        heard(content)
    assert not any(
        word in str(caught.value) for word in ("Errno", "returned", "last error", "Invalid data", "'")
    )
