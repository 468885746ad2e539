"""The documents' pictures of the screen show the snapshots of today."""

from __future__ import annotations

import pytest
from PIL import Image

from tests.docs.screen_pictures import DIGEST, IMAGES, PICTURES, digest_of


@pytest.mark.parametrize("picture", PICTURES)
def test_the_picture_shows_the_current_snapshot(picture: str) -> None:
    with Image.open(IMAGES / picture) as image:
        assert image.info[DIGEST] == digest_of(picture), "run python -m tests.docs.screen_pictures, and look"
