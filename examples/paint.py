"""Paint the style pictures that come with tilestyle: `python examples/paint.py --out FOLDER`.

Arithmetic and a seed, no photograph and no painter's work. `swirls` and `facets` are brush strokes laid over
one another, wide ones first, under a raking light; `woodcut` is two inked blocks on paper; `weave` is a
regular texture. The same versions of NumPy and Pillow on the same kind of processor write the same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[Any]

SIZE = (768, 1024)  # height and width of a picture
FINE = 3 / 2  # strokes are laid on a canvas so many times larger, for smooth edges
STEP = 0.7  # canvas pixels between the samples of a stroke: less than one leaves no holes
# The eddies of `swirls`: centre (y, x) and radius in picture heights, and which way round.
EDDIES = (
    (0.36, 0.42, 0.20, 1),
    (0.62, 0.86, 0.16, -1),
    (0.22, 1.08, 0.13, 1),
    (0.80, 0.28, 0.12, -1),
    (0.14, 0.80, 0.06, -1),
    (0.88, 1.18, 0.10, 1),
    (0.12, 0.10, 0.08, -1),
    (0.55, 1.25, 0.06, 1),
    (0.55, 0.10, 0.05, 1),
)
SUN = (0.27, 0.86, 0.15)  # of `woodcut`: centre (y, x) and radius in picture heights
RAYS = 48
HILLS = 5
STRAND = 42  # of `weave`: canvas pixels from one strand to the next


def main() -> None:
    """Paint the pictures asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    parser.add_argument("--only", choices=PICTURES, help="one picture instead of all")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in [arguments.only] if arguments.only else PICTURES:
        file = arguments.out / f"{name}.jpg"
        PICTURES[name](np.random.default_rng(7)).save(file, quality=78, optimize=True)
        print(f"{file}  {file.stat().st_size / 1000:.0f} kB")


def colours(*codes: str) -> Array:
    """Colours RRGGBB as [N, 3] in [0, 1]."""
    values = [[int(code[place : place + 2], 16) for place in (0, 2, 4)] for code in codes]
    return np.array(values, np.float32) / 255


def resized(values: Array, height: int, width: int) -> Array:
    """A plane at another size."""
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BICUBIC))


def noise(random: Generator, height: int, width: int, cell: float) -> Array:
    """Smooth noise with bumps about `cell` pixels wide, standard deviation about 1."""
    grid = random.normal(size=(int(height / cell) + 3, int(width / cell) + 3)).astype(np.float32)
    return resized(grid, height, width) * 1.3


def ramp(palette: Array, place: Array) -> Array:
    """Colours at places in [0, 1] along a palette, [..., 3]."""
    stops = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(place, stops, palette[:, axis]) for axis in range(3)], -1).astype(np.float32)


def softened(values: Array) -> Array:
    """A plane blurred by the binomial filter (1, 2, 1)/4 both ways."""
    for _ in range(2):
        framed = np.pad(values, ((1, 1), (0, 0)), mode="edge")
        values = ((framed[:-2] + 2 * framed[1:-1] + framed[2:]) / 4).T
    return values


class Canvas:
    """Wet paint: a colour and a thickness at every place."""

    def __init__(self, random: Generator, ground: Array) -> None:
        self.random = random
        self.height, self.width = (round(side * FINE) for side in SIZE)
        self.colour = np.broadcast_to(ground, (self.height, self.width, 3)).astype(np.float32)
        self.relief = np.zeros((self.height, self.width), np.float32)

    def paths(self, starts: Array, angle: Array, length: float) -> Array:
        """Lines [N, S, 2] through `starts` [N, 2], (y, x), along the field of angles [H, W]."""
        half = round(length / STEP / 2)
        both = []
        for sign in (-STEP, STEP):
            place, line = starts.copy(), []
            for _ in range(half):
                row = np.clip(place[:, 0].astype(int), 0, self.height - 1)
                column = np.clip(place[:, 1].astype(int), 0, self.width - 1)
                turn = angle[row, column]
                place = place + sign * np.stack([np.sin(turn), np.cos(turn)], 1)
                line.append(place)
            both.append(np.stack(line, 1))
        return np.concatenate([both[0][:, ::-1], starts[:, None], both[1]], 1)

    def stroke(self, path: Array, width: float, paint: Array, within: Array | None = None) -> None:
        """One stroke along `path` [S, 2] with two paints [2, 3] on the brush; only where `within` is true."""
        along = np.linspace(0, 1, len(path), dtype=np.float32)[:, None]
        across = np.linspace(-1, 1, max(3, round(width / STEP)), dtype=np.float32)
        row, column = footprint(path, width, along, across)
        keep = (row >= 0) & (row < self.height) & (column >= 0) & (column < self.width)
        if within is not None:
            keep[keep] = within[row[keep], column[keep]]
        place = row[keep], column[keep]

        fine, broad = bristles(self.random, width, along, across)
        mix = np.clip(0.35 + 0.4 * broad + 0.18 * fine, 0, 1)[..., None]
        colour = (paint[0] * (1 - mix) + paint[1] * mix) * (1 + 0.07 * fine[..., None])
        # Thin at its sides; towards its end the brush runs dry, one bristle after the other.
        dry = np.clip(3 * (1.15 - along**5 + 0.4 * fine * along), 0, 1)
        cover = (dry * np.clip(3.5 * (1 - np.abs(across)) + 0.35, 0, 1))[keep]
        # Paint is pushed up along the sides, and piles up where the stroke ends.
        ridge = np.exp(-(((np.abs(across) - 0.8) / 0.15) ** 2))
        body = np.sqrt(width) * (0.5 + 0.28 * fine + 0.35 * ridge) * (0.7 + 0.5 * along**2)
        self.colour[place] += cover[:, None] * (colour[keep] - self.colour[place])
        self.relief[place] += cover * (body[keep] - 0.6 * self.relief[place])

    def lit(self, depth: float = 0.07, gloss: float = 0.12) -> Image.Image:
        """The painting under light from the upper left, at its final size."""
        down, right = np.gradient(softened(self.relief))
        slope = (down + right) * depth * 2
        shade = np.clip(1 + slope - slope * np.abs(slope) * 0.2, 0.62, 1.3)[..., None]
        shine = gloss * np.clip(slope - 0.25, 0, 1)[..., None]
        return picture(self.colour * shade + shine)


def footprint(path: Array, width: float, along: Array, across: Array) -> tuple[Array, Array]:
    """Rows and columns [S, T] that a stroke touches: round where it is set down, pointed where it leaves."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True) + 1e-6
    normal = np.stack([tangent[:, 1], -tangent[:, 0]], 1)
    shape = np.sqrt(np.minimum(along * len(path) * STEP / width * 2, 1)) * np.sqrt(1 - along**3)
    place = path[:, None] + normal[:, None] * (shape * across * width / 2)[..., None]
    return place[..., 0].round().astype(int), place[..., 1].round().astype(int)


def bristles(random: Generator, width: float, along: Array, across: Array) -> tuple[Array, Array]:
    """Streaks [S, T] of single bristles, and of whole parts of the brush that took more of one paint."""
    hairs: Array = random.normal(size=(2, across.size)).astype(np.float32)
    for _ in range(max(1, round(width / 24))):
        hairs = (np.roll(hairs, 1, 1) + 2 * hairs + np.roll(hairs, -1, 1)) / 4
    hairs /= hairs.std(1, keepdims=True) + 1e-6
    fine = hairs[0] * (1 - along) + hairs[1] * along
    broad = np.interp(across, np.linspace(-1, 1, 5), random.normal(size=5)) + 0.8 * (along - 0.5)
    return fine, broad


def picture(colour: Array) -> Image.Image:
    """An array [H, W, 3] in [0, 1] as a picture of the final size."""
    values = (np.clip(colour, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Image.fromarray(values).resize(SIZE[::-1], Image.Resampling.LANCZOS)


def swirls(random: Generator) -> Image.Image:
    """Long strokes around many eddies: night blues and greens, ochre lights, a few strokes of rose."""
    canvas = Canvas(random, colours("14223f")[0])
    height, width = canvas.height, canvas.width
    y, x = np.mgrid[:height, :width].astype(np.float32)
    drift = 60 * noise(random, height, width, 420) + 9 * noise(random, height, width, 190) + 0.35 * y
    eddies, glow, calm = (np.zeros_like(drift) for _ in range(3))
    for centre_y, centre_x, radius, spin in EDDIES:
        away = np.hypot(y - centre_y * height, x - centre_x * height) / (radius * height)
        eddies += spin * 1200 * radius * np.exp(-(away**2) / 1.2)
        glow += np.exp(-((away / 0.45) ** 2)) + 0.38 * np.exp(-(((away - 0.9) / 0.13) ** 2))
        calm = np.maximum(calm, np.exp(-(away**2)))
    stream = eddies + drift * (1 - 0.65 * calm)
    down, right = np.gradient(stream)
    angle = np.arctan2(-right, down) + 0.12 * noise(random, height, width, 60)
    bands = 0.5 + 0.5 * np.sin(stream / 17) + 0.25 * noise(random, height, width, 110)
    night = colours("0f1b3d", "1a3a7a", "1f5fa8", "2f8f9d", "86bfc4", "e6ead2")
    light = colours("a85a1c", "d98b1f", "f2b632", "f9dc7a", "fdf5d8")
    for size, share in ((46, 1.0), (26, 1.2), (15, 1.1), (9, 0.5)):
        length = 5.5 * size + 40
        count = round(share * 2.6 * height * width / (size * length))
        starts = random.uniform((0, 0), (height, width), (count, 2)).astype(np.float32)
        for path in canvas.paths(starts, angle, length):
            row, column = np.clip(path[len(path) // 2].astype(int), 0, (height - 1, width - 1))
            place = 0.12 + 0.6 * bands[row, column] + random.normal(0, 0.1)
            lit = glow[row, column] + random.normal(0, 0.12)
            paint = ramp(night, np.clip([place, place + random.normal(0.08, 0.15)], 0, 1))
            if lit > 0.45:
                paint = ramp(light, np.clip([lit - 0.35, lit - 0.1], 0, 1))
            elif size < 30 and random.random() < 0.035:
                paint = colours("c8553d", "e8a07a")
            cut = random.uniform(0.5, 1)
            canvas.stroke(path[: round(cut * len(path))], size * random.uniform(0.7, 1.2), paint)
    return canvas.lit()


def facets(random: Generator) -> Image.Image:
    """Angular planes between dark lines, each brushed its own way from light to shade: warm, with blues."""
    canvas = Canvas(random, colours("2a1a1c")[0])
    height, width = canvas.height, canvas.width
    label, edge = cells(random, height, width)
    warmth = noise(random, height, width, 260)
    warm = colours("4a1c1e", "7d2a22", "b5442a", "d97a2f", "edb04a", "f6dda0", "f8efd6")
    cool = colours("122a3a", "1f4a5c", "3f7f86", "9fc0b0", "e9e6cf")
    for cell in range(label.max() + 1):
        mask = label == cell
        tone = np.clip(0.48 + 0.16 * warmth[mask].mean() + random.normal(0, 0.17), 0.15, 0.8)
        brush_facet(canvas, mask, cool if random.random() < 0.17 else warm, tone)
    uneven = 2.2 * noise(random, height, width, 90) + 0.6 * noise(random, height, width, 9)
    line = np.clip((np.clip(3.2 + uneven, 0.6, 8) - edge) / 1.5, 0, 1)[..., None] * 0.93
    canvas.colour += line * (colours("1a1216")[0] - canvas.colour)
    canvas.relief *= 1 - 0.8 * line[..., 0]
    return canvas.lit()


def brush_facet(canvas: Canvas, mask: Array, palette: Array, tone: float) -> None:
    """Straight strokes over one facet, shaded across around `tone`, its place on the palette."""
    random = canvas.random
    rows, columns = mask.nonzero()
    turn = random.uniform(0, np.pi)
    depth = rows * np.sin(turn + 1.3) + columns * np.cos(turn + 1.3)
    low, high = np.quantile(depth, [0.03, 0.97])
    span = random.uniform(0.3, 0.65)
    straight = np.full(mask.shape, turn, np.float32)
    length = np.clip(np.sqrt(len(rows)) * 0.9, 30, 150)
    for size in (26, 13):
        chosen = random.integers(len(rows), size=round(2.4 * len(rows) / (size * length)) + 2)
        starts = np.stack([rows[chosen], columns[chosen]], 1).astype(np.float32)
        for index, path in zip(chosen, canvas.paths(starts, straight, length), strict=True):
            place = tone + span * ((depth[index] - low) / (high - low + 1) - 0.5) + random.normal(0, 0.05)
            paint = ramp(palette, np.clip([place, place + random.normal(0.03, 0.1)], 0, 1))
            canvas.stroke(path, size * random.uniform(0.7, 1.2), paint, mask)


def cells(random: Generator, height: int, width: int) -> tuple[NDArray[np.int32], Array]:
    """A plane cut in two again and again: the number of the cell at each place, and how far the next cut is."""
    label = np.zeros((height, width), np.int32)
    edge = np.full((height, width), 1e6, np.float32)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waiting = [np.arange(height * width)]
    found = 0
    while waiting:
        inside = waiting.pop()
        down, right = y.ravel()[inside], x.ravel()[inside]
        apart = np.hypot(down.mean() / height - 0.5, right.mean() / height - 0.66)
        if len(inside) < random.uniform(0.4, 1.6) * (3000 + 22000 * apart):
            label.ravel()[inside] = found
            found += 1
            continue
        down, right = down - down.mean(), right - right.mean()
        # Across the long axis, more or less; the first cuts aslant, whatever the picture's axes are.
        turn = 0.5 * np.arctan2(2 * (down * right).mean(), (right**2 - down**2).mean()) + random.normal(0, 0.6)
        if len(inside) > label.size / 9:
            turn = random.uniform(0.3, 1.2) + random.integers(2) * np.pi / 2
        along = down * np.sin(turn) + right * np.cos(turn)
        across = down * np.cos(turn) - right * np.sin(turn)
        reach = along.std()
        side = along - random.normal(0, 0.35) * reach + random.normal(0, 0.12) * across**2 / reach
        edge.ravel()[inside] = np.minimum(edge.ravel()[inside], np.abs(side))
        waiting += [inside[side < 0], inside[side >= 0]]
    return label, edge


def woodcut(random: Generator) -> Image.Image:
    """Hills and a sun cut into two blocks, one inked indigo and one vermilion, and printed on paper."""
    height, width = (round(side * FINE) for side in SIZE)
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    wobble = noise(random, height, width, 120) * 0.006
    phase, tone, red = sky(y, x, wobble)
    for level in range(HILLS):
        near = (level + 1) / HILLS
        ridge = skyline(random, level, x[0])
        slope = np.gradient(ridge) * height
        below = y - ridge
        hill = below >= 0
        # Cuts run down the slope and fan out.
        cut = (x + 0.9 * below * slope + 0.05 * np.sin(below * 9 + level)) * (74 - 22 * near)
        cut += 0.25 * noise(random, height, width, 200)
        shade = 0.16 + 0.55 * np.clip(slope * 0.9 + 0.35, 0, 1) + 0.3 * np.exp(-np.clip(below, 0, 1) / 0.02)
        shade += 0.1 * near - 0.5 * np.clip(below - 0.06, 0, 0.4) + 0.09 * noise(random, height, width, 70)
        shade[np.abs(below + wobble * 0.3) < 0.0035 + 0.002 * near] = 2  # the outline, all ink
        band = 0.55 * np.clip(1 - np.abs(below - 0.1 - 0.05 * near) / 0.05, 0, 1) - 0.1
        phase, tone = np.where(hill, cut, phase), np.where(hill, shade, tone)
        red = np.where(hill, printed(below * (70 - 20 * near) + 3 * wobble, band), red)
    return pressed(random, red, printed(phase, tone))


def sky(y: Array, x: Array, wobble: Array) -> tuple[Array, Array, Array]:
    """Phase and tone of the cuts around the sun, and the vermilion of the sun and its rays."""
    down, right, radius = SUN
    away = np.hypot(y - down, x - right)
    turn = np.arctan2(y - down, x - right)
    cloud = np.sin(9 * y + 2.2 * np.sin(3.1 * x + 1) + 60 * wobble)
    phase = away * 46 + 0.35 * np.sin(turn * 7) + 40 * wobble
    tone = 0.12 + 0.42 * np.clip(away - 0.2, 0, 1) + 0.3 * cloud * (away > 0.2)
    tone = np.where(away < radius + 0.012, -1, tone)
    fading = np.clip(0.75 - (away - radius) * 2.1, -1, 0.5) * (away > radius + 0.025) - 0.05
    red = np.where(away < radius, 1, printed(turn * RAYS / (2 * np.pi), fading))
    return phase, tone, red


def skyline(random: Generator, level: int, x: Array) -> Array:
    """Height of a hill's edge along x, in picture heights from the top; nearer hills are lower."""
    ridge = np.full_like(x, 0.42 + 0.115 * level)
    for octave in range(4):
        rate = (3.2 + 0.6 * level) * 1.9**octave
        ridge += 0.075 * 0.45**octave * np.sin(rate * x + random.uniform(0, 6.3))
    return ridge


def printed(phase: Array, tone: Array) -> Array:
    """Lines one unit of phase apart, as thick as the tone is dark: none at 0, all ink at 1."""
    wave = np.abs(phase - np.round(phase)) * 2  # 0 in the middle of a line, 1 between two
    down, right = np.gradient(phase)
    ink: Array = (tone - wave) / np.clip(2 * np.hypot(down, right), 1e-3, 1)
    return np.clip(ink + 0.5, 0, 1)


def pressed(random: Generator, red: Array, black: Array) -> Image.Image:
    """Both blocks on paper, vermilion first and a little out of place, both inks a little worn."""
    height, width = black.shape
    fibres = noise(random, height, width, 4) + noise(random, height, width, 24)
    wear = noise(random, height, width, 5) + 0.7 * noise(random, height, width, 40)
    paper = colours("efe3c8")[0] + 0.01 * fibres[..., None]
    for ink, block, (down, right) in (("cf3f26", red, (4, -3)), ("1b2440", black, (0, 0))):
        rows = np.clip(np.arange(height) - down, 0, height - 1)
        columns = np.clip(np.arange(width) - right, 0, width - 1)
        block = softened(block[rows][:, columns])
        cover = block * np.clip(1.02 - 0.09 * np.clip(wear - 0.6, 0, 3) ** 1.5, 0.3, 0.97)
        paper = paper * (1 - cover[..., None] * (1 - colours(ink)[0]))
    return picture(paper)


def weave(random: Generator) -> Image.Image:
    """Flat strands of straw over two and under two, dyed in bands."""
    height, width = (round(side * FINE) for side in SIZE)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    y, x = y + 5 * noise(random, height, width, 300), x + 5 * noise(random, height, width, 300)
    rows, across_row = np.divmod(y / STRAND, 1)
    columns, across_column = np.divmod(x / STRAND, 1)
    over = (rows + columns) % 4 < 2  # whether the strand along the row lies on top here
    grain = [noise(random, height, width // 16, 2), noise(random, height // 16, width, 2)]
    cloth = np.zeros((height, width, 3), np.float32)
    straw = colours("7a4a1e", "b07a35", "d9ac5c", "efd598")
    dyed = colours("141d38", "22386b", "3a6396", "7ea3bd")
    red = colours("4a1214", "8c2320", "c04a34", "e08a63")
    for strand, across, along, fibre, top in (
        (rows, across_row, (x / STRAND + rows) % 4, grain[0], over),
        (columns, across_column, (y / STRAND + columns - 2) % 4, grain[1], ~over),
    ):
        index = strand.astype(int) - strand.astype(int).min()
        shade = random.normal(0.55, 0.09, index.max() + 1)[index]
        hump = np.clip(1 - ((along - 1) / 1.12) ** 2, 0, 1)
        round_off = np.sqrt(np.clip(1 - (2 * across - 1) ** 2 * 0.93, 0, 1))
        light = shade + 0.09 * resized(fibre, height, width) - 0.22 * (across - 0.4)
        kind = strand % 9
        dye = np.where(np.isin(kind, (1, 2))[..., None], ramp(dyed, light), ramp(straw, light))
        dye = np.where((kind == 5)[..., None], ramp(red, light), dye)
        body = dye * (0.25 + 0.8 * round_off * (0.45 + 0.6 * np.sqrt(hump)))[..., None]
        cloth = np.where(top[..., None], body, cloth)
    return picture(cloth)


PICTURES: dict[str, Callable[[Generator], Image.Image]] = {
    "swirls": swirls,
    "facets": facets,
    "woodcut": woodcut,
    "weave": weave,
}

if __name__ == "__main__":
    main()
