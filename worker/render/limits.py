"""Limits of one render job. Does not import Pillow, so that a parent process can build them cheaply."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from previewops.contract.limits import MAX_SIDE_PX
from previewops.contract_maxima import MAX_ASSETS, MAX_LENGTH_S, MAX_STEPS
from previewops.settings import Settings

MIB = 1024 * 1024

RESERVED_BYTES = 208 * MIB
"""Memory of a render process apart from one decoder: programs, ICU with its data, kept pictures, the drawn frame."""


@dataclass(frozen=True, slots=True)
class RenderLimits:
    """Limits of one job. Input above a limit is rejected before it is decoded."""

    asset_bytes: int = 100 * MIB  # bytes of one asset's file
    assets: int = MAX_ASSETS  # assets in one job, including a sound given by its uri
    frame_pixels: int = 100_000_000  # pixels (width x height) of one frame of a picture
    frames: int = 1_000  # frames of one animated picture
    total_pixels: int = 400_000_000  # pixels over all frames of one picture
    played_frames: int = 40_000  # frames of videos and animations that play in one job
    played_pixels: int = 20_000_000_000  # pixels over all frames that play in one job
    side: int = MAX_SIDE_PX  # pixels of the longer side of options.resolution
    steps: int = MAX_STEPS  # steps of one job
    length_ms: int = MAX_LENGTH_S * 1_000  # duration of title card and steps, ms
    output_bytes: int = 256 * MIB  # bytes of all files of one bundle
    decoded_bytes: int = 64 * MIB  # bytes of decoded pictures kept between the frames that use them
    memory_bytes: int = 1_088 * MIB  # address space of the process that decodes

    @property
    def decoder_bytes(self) -> int:
        """Memory that decoding one picture may take."""
        return self.memory_bytes - RESERVED_BYTES

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any] | None) -> RenderLimits:
        """Returns the default limits with ``values`` replaced.

        Raises:
            ValueError: an unknown name, or a value that is not a positive whole number.
        """
        known = sorted(field.name for field in fields(cls))
        for name, value in (values or {}).items():
            if name not in known:
                raise ValueError(f"limits: found {name!r}, allowed {', '.join(known)}")
            if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
                raise ValueError(f"limits.{name}: found {value!r}, allowed a positive whole number")
        return replace(cls(), **values or {})

    @classmethod
    def from_settings(cls, settings: Settings) -> RenderLimits:
        """Returns the limits that the settings define."""
        return cls(
            asset_bytes=settings.asset_max_mb * MIB,
            assets=settings.assets_max,
            frame_pixels=settings.frame_max_mp * 1_000_000,
            frames=settings.frames_max,
            total_pixels=settings.picture_max_mp * 1_000_000,
            played_frames=settings.played_frames_max,
            played_pixels=settings.played_max_mp * 1_000_000,
            steps=settings.steps_max,
            length_ms=settings.length_max_s * 1000,
            output_bytes=settings.output_max_mb * MIB,
            memory_bytes=settings.memory_limit_mb * MIB,
        )
