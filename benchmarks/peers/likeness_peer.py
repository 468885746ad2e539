"""Likeness of the previews of two pipelines: likeness_peer.py FOLDER FOLDER

Prints SSIM of large.png, middle.png and small.png (Wang et al. 2004, Gaussian window of 1.5 pixels, lightness) as a
JSON list.
"""

import json
import sys
from pathlib import Path

import pyvips


def ssim(one: Path, other: Path) -> float:
    """The mean over all pixels."""
    a, b = (pyvips.Image.new_from_file(str(path)).colourspace("b-w").cast("float") for path in (one, other))
    mean_a, mean_b = a.gaussblur(1.5), b.gaussblur(1.5)
    var_a = (a * a).gaussblur(1.5) - mean_a * mean_a
    var_b = (b * b).gaussblur(1.5) - mean_b * mean_b
    both = (a * b).gaussblur(1.5) - mean_a * mean_b
    upper = (mean_a * mean_b * 2 + 6.5025) * (both * 2 + 58.5225)
    lower = (mean_a * mean_a + mean_b * mean_b + 6.5025) * (var_a + var_b + 58.5225)
    return round(float((upper / lower).avg()), 4)


def main() -> None:
    """Compares."""
    one, other = Path(sys.argv[1]), Path(sys.argv[2])
    names = ("large.png", "middle.png", "small.png")
    print(json.dumps([ssim(one / name, other / name) for name in names]))


if __name__ == "__main__":
    main()
