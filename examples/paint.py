"""Paint the style pictures that are bundled with tilestyle: `python examples/paint.py --out FOLDER`.

They are made by arithmetic and a seed, without photographs or anyone's paintings; see the modules of
`painting`. The same versions of NumPy and Pillow on the same kind of processor write the same bytes.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image

from painting.facets import facets
from painting.fields import Array
from painting.impasto import impasto
from painting.inkwash import inkwash
from painting.mosaic import mosaic
from painting.pastel import pastel
from painting.swirls import swirls
from painting.watercolor import watercolor
from painting.weave import weave
from painting.woodcut import woodcut

SIZE = (1080, 1440)  # height and width of a picture, in pixels
LARGEST = 295_000  # bytes of a file of this size, if quality LEAST allows it: the package contains all of them
BEST, LEAST = 82, 58  # JPEG qualities

PICTURES: dict[str, Callable[[Generator, int, int], Array]] = {
    "swirls": swirls,
    "facets": facets,
    "woodcut": woodcut,
    "weave": weave,
    "impasto": impasto,
    "mosaic": mosaic,
    "watercolor": watercolor,
    "inkwash": inkwash,
    "pastel": pastel,
}


def main() -> None:
    """Paint the selected pictures and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", choices=PICTURES, help="one picture instead of all")
    parser.add_argument("--height", type=int, default=SIZE[0], help="height of a picture, pixels")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else PICTURES:
        data = encoded(painted(name, arguments.height))
        file = arguments.out / f"{name}.jpg"
        file.write_bytes(data)
        print(f"{file}  {len(data) / 1000:.0f} kB")


def painted(name: str, height: int = SIZE[0]) -> Image.Image:
    """Paint one of PICTURES, `height` pixels high."""
    width = height * SIZE[1] // SIZE[0]
    values = PICTURES[name](np.random.default_rng(7), height, width)
    picture = Image.fromarray((np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8))
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image) -> bytes:
    """Encode a JPEG of the best quality within LARGEST bytes, scaled by the pixels for other sizes."""
    limit = LARGEST * picture.width * picture.height / (SIZE[0] * SIZE[1])
    for quality in range(BEST, LEAST - 1, -3):
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True, progressive=True)
        if buffer.tell() <= limit:
            break
    return buffer.getvalue()


if __name__ == "__main__":
    main()
