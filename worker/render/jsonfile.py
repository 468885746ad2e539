"""JSON files of a bundle as bytes. No Pillow here: the worker writes one too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def encode_json(content: Mapping[str, Any]) -> bytes:
    """``content`` as indented JSON in UTF-8, with a line break at its end."""
    return (json.dumps(content, ensure_ascii=False, indent=2) + "\n").encode("utf-8", "replace")
