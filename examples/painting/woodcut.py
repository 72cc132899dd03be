"""A sun over hills and firs, cut into two blocks, one inked indigo and one vermilion, and printed on paper."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from painting.fields import Array, colors, noise, resized, softened

FINE = 2  # blocks are cut so many times larger than the picture, for smooth edges
SUN = (0.27, 0.86, 0.15)  # center (y, x) and radius in picture heights
RAYS = 48
HILLS = 5


def woodcut(random: Generator, height: int, width: int) -> Array:
    """Cut and print it."""
    height, width = height * FINE, width * FINE
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    wobble = (
        noise(random, height, width, height * 0.1) * 0.006
        + noise(random, height, width, height * 0.012) * 0.0007
    )
    black, red = sky(random, y, x, wobble)
    birds(random, black)
    ridges = [skyline(random, level, x[0]) for level in range(HILLS)]
    for level, ridge in enumerate(ridges):
        hill(random, black, red, ridge, level)
        if level in (1, 2, 3):
            firs(random, black, red, ridge, level, [*ridges, np.full_like(ridge, 2)][level + 1])
    return pressed(random, red, black)


def sky(random: Generator, y: Array, x: Array, wobble: Array) -> tuple[Array, Array]:
    """Both blocks of the sky: lines around the sun like those of a plank, and rays."""
    down, right, radius = SUN
    height, width = y.shape
    away = np.hypot(y - down, x - right)
    turn = np.arctan2(y - down, x - right)
    bank = np.sin(9 * y + 2.2 * np.sin(3.1 * x + 1) + 60 * wobble)
    phase = away * 44 + 0.35 * np.sin(turn * 7) + 55 * wobble
    tone = 0.08 + 0.40 * np.clip(away - 0.2, 0, 1) + 0.34 * bank * (away > 0.2)
    # Every line is cut on its own: some deeper, some left out for a stretch.
    line = np.round(phase).astype(int)
    deep = random.normal(0, 0.07, line.max() - line.min() + 1).astype(np.float32)[line - line.min()]
    stretch = np.stack([random.permutation(64)[(np.arange(width) * 64) // width] for _ in range(40)])
    gaps = resized(np.sin(stretch.astype(np.float32)), 40, width // 8)
    gaps = resized(
        gaps[line[:, ::8][:, : width // 8] % 40, np.arange(line[:, ::8][:, : width // 8].shape[1])],
        height,
        width,
    )
    tone = tone + deep - 0.12 * np.clip(gaps - 0.5, 0, 1)
    tone = np.where(away < radius + 0.012, -1, tone)
    black = printed(phase, tone)
    fading = np.clip(0.75 - (away - radius) * 2.1, -1, 0.5) * (away > radius + 0.025) - 0.05
    fading += 0.06 * noise(random, height, width, height * 0.02) * (fading > -0.04)
    rays = printed(turn * RAYS / (2 * np.pi) + 2.5 * wobble / np.maximum(away, 0.1), fading)
    return black, np.where(away < radius + 0.15 * wobble, 1, rays).astype(np.float32)


def skyline(random: Generator, level: int, x: Array) -> Array:
    """Height of a hill's edge along x, in picture heights from the top; nearer hills are lower."""
    ridge = np.full_like(x, 0.42 + 0.115 * level)
    for octave in range(5):
        rate = (3.2 + 0.6 * level) * 1.9**octave
        ridge += 0.075 * 0.45**octave * np.sin(rate * x + random.uniform(0, 6.3))
    return ridge


def printed(phase: Array, tone: Array) -> Array:
    """Lines one unit of phase apart, as thick as the tone is dark: none at 0, all ink at 1."""
    wave = np.abs(phase - np.round(phase)) * 2  # 0 in the middle of a line, 1 between two
    down, right = np.gradient(phase)
    ink: Array = (tone - wave) / np.clip(2 * np.hypot(down, right), 1e-3, 1)
    return np.clip(ink + 0.5, 0, 1)


def carve(block: Array, lines: Array, widths: Array, value: float) -> None:
    """Set `value` along `lines` [N, S, 2], (y, x) in picture heights, as wide as `widths` [N, S]."""
    height, width = block.shape
    for part in range(0, len(lines), 400):
        line, wide = lines[part : part + 400] * height, widths[part : part + 400] * height
        tangent = np.gradient(line, axis=1)
        tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + 1e-9
        across = np.linspace(-0.5, 0.5, max(2, int(wide.max() / 0.7) + 1))
        reach = wide[..., None] * across
        row = np.round(line[..., :1] + tangent[..., 1:] * reach).astype(int)
        column = np.round(line[..., 1:] - tangent[..., :1] * reach).astype(int)
        keep = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (wide > 0.6)[..., None]
        block[row[keep], column[keep]] = value


def gouges(random: Generator, starts: Array, lean: Array, length: Array, width: Array) -> tuple[Array, Array]:
    """Lines and widths of cuts that fall from `starts` [N, 2]: set in deep, and run out to a point."""
    count = len(starts)
    samples = int(np.clip(length.max() * 2600, 24, 900))
    along = np.linspace(0, 1, samples, dtype=np.float32)[None]
    bend = random.normal(0, 0.12, (count, 1)) * along
    down = along * length[:, None]
    right = (lean[:, None] * (1 - 0.35 * along) + bend) * down
    tremble = 0.0006 * np.sin(along * random.uniform(10, 40, (count, 1)) + random.uniform(0, 6, (count, 1)))
    shape = np.minimum(along / 0.08, 1) ** 0.6 * (1 - along) ** 0.75
    shape = shape * (
        1 + 0.13 * np.sin(along * random.uniform(8, 30, (count, 1)) + random.uniform(0, 6, (count, 1)))
    )
    lines = np.stack([starts[:, :1] + down, starts[:, 1:] + right + tremble], -1)
    return lines, shape * width[:, None]


def hill(random: Generator, black: Array, red: Array, ridge: Array, level: int) -> None:
    """One hill over what lies behind: far ones are paper with inked cuts, near ones ink with cuts of paper."""
    height, width = black.shape
    near = level / (HILLS - 1)
    y = np.arange(height, dtype=np.float32)[:, None] / height
    inside = y >= ridge
    slope = np.gradient(ridge) * height
    black[inside], red[inside] = 0, 0
    band = 0.1 + 0.04 * near
    tinted = printed((y - ridge) * (76 - 26 * near), 0.62 - 12 * np.abs(y - ridge - band))
    if level % 2 == 0:
        red[inside] = tinted[inside]
    body = np.zeros_like(black)
    dark = level >= 2
    if dark:
        uneven = 0.014 * np.sin(np.arange(width) / width * 90) * near
        body[(y >= ridge) & (y < ridge + 0.16 + uneven + 0.1 * near)] = 1
    spacing = 0.0085 + 0.0055 * near
    for row, share in (
        (0.0, 1.0),
        (0.05, 0.45 + 0.4 * near),
        (0.1, 0.7),
        (0.15, 0.5),
        (0.2, 0.6),
        (0.27, 0.6),
        (0.34, 0.6),
    ):
        across = np.arange(-0.1, width / height + 0.1, spacing)
        across = across[random.random(len(across)) < share] + 0
        across = across + random.normal(0, spacing * 0.16, len(across))
        column = np.clip(across * height, 0, width - 1).astype(int)
        lean = np.clip(slope[column], -0.8, 0.8) * 1.1
        shade = np.clip(0.5 + 0.7 * slope[column] + 0.15 * np.sin(across * 17 + 3 * level), 0.1, 1)
        start = ridge[column] + row + np.abs(random.normal(0, 0.012, len(across))) * (row > 0)
        length = (0.05 + 0.13 * (shade if not dark else 1.1 - 0.6 * shade)) * random.uniform(
            0.6, 1.25, len(across)
        )
        wide = spacing * (0.2 + 0.5 * shade**1.5) if not dark else spacing * (0.85 - 0.5 * shade)
        if dark:
            start = start + 0.004 + 0.03 * shade**2 * (row == 0)
        lines, widths = gouges(
            random, np.stack([start, across + lean * row], 1), lean, length, wide * (1 - 0.15 * (row > 0))
        )
        carve(body, lines, widths, 0.0 if dark and row < 0.15 + 0.1 * near else 1.0)
    black[inside] = body[inside]
    line = np.stack([ridge, np.arange(width) / height], 1)[None]
    thick = (0.0035 + 0.003 * near) * (1 + 0.35 * noise(random, 4, width, height * 0.03)[:1])
    carve(black, line.astype(np.float32), thick, 1)


def firs(random: Generator, black: Array, red: Array, ridge: Array, level: int, bound: Array) -> None:
    """Firs in groups on a hill, cut clear of what is behind."""
    height, width = black.shape
    groups = random.uniform(0, width / height, 3)
    for middle in groups:
        spots = np.sort(middle + random.normal(0, 0.05, random.integers(3, 7)))
        for right in spots:
            column = int(np.clip(right * height, 0, width - 1))
            room = bound[column] - ridge[column]
            foot = ridge[column] + random.uniform(0.02, 0.1)
            tall = random.uniform(0.055, 0.095) * (0.75 + 0.25 * level)
            if room < 0.05 or foot - tall < ridge[column] - 0.012 * level:
                tall = foot - ridge[column] + 0.012 * level
            if tall < 0.03:
                continue
            fir(random, black, red, foot, right, tall)


def fir(random: Generator, black: Array, red: Array, foot: float, right: float, tall: float) -> None:
    """One tree: a trunk, and boughs that hang to both sides."""
    tiers = int(7 + tall * 60)
    up = np.linspace(0.06, 0.93, tiers)
    starts, lean, length = [], [], []
    for side in (-1, 1):
        for place in up:
            starts.append((foot - tall * (1 - place), right))
            reach = tall * 0.30 * place + 0.002
            length.append(reach * random.uniform(0.45, 0.7))
            lean.append(side * random.uniform(1.6, 2.1))
    begin, tilt, fall = np.array(starts), np.array(lean), np.array(length)
    wide = np.full(len(begin), tall * 0.055)
    lines, widths = gouges(random, begin, tilt, fall, wide)
    along = np.linspace(0, 1, 200)
    trunk = np.stack([foot - tall * (1 - along), np.full(200, right)], 1)[None]
    for block, value, more in ((black, 0.0, 0.006), (red, 0.0, 0.004), (black, 1.0, 0.0)):
        carve(block, lines, np.where(widths > 0.0003, widths + more, 0), value)
        carve(block, trunk, (0.0012 + tall * 0.03 * along)[None] + more, value)


def birds(random: Generator, black: Array) -> None:
    """A skein of birds in the left of the sky."""
    along = np.linspace(-1, 1, 160)
    for number in range(7):
        side = (number % 2 * 2 - 1) * (number + 1) // 2
        span = random.uniform(0.013, 0.018)
        middle = 0.205 + 0.016 * abs(side) + random.normal(0, 0.003), 0.17 + 0.036 * side
        wing = np.stack([middle[0] - span * 0.5 * np.abs(np.sin(2.6 * along)), middle[1] + span * along], 1)[
            None
        ]
        thick = (0.0042 * (1 - np.abs(along)) ** 0.6 + 0.0006)[None]
        carve(black, wing, thick + 0.008, 0)
        carve(black, wing, thick, 1)


def pressed(random: Generator, red: Array, black: Array) -> Array:
    """Both blocks on paper, vermilion first and a little out of place, both worn along the wood's grain."""
    height, width = black.shape
    unit = height / 1500
    fibres = 0.5 * noise(random, height, width, 5 * unit) + noise(random, height, width, 24 * unit)
    grain = resized(noise(random, height, max(8, width // 40), 3.2 * unit), height, width)
    wear = (
        0.8 * noise(random, height, width, 6 * unit)
        + 0.9 * noise(random, height, width, 60 * unit)
        + 0.8 * grain
    )
    paper: Array = colors("efe5cd")[0] + 0.006 * fibres[..., None]
    for ink, block, (down, right) in (("c8402a", red, (5, -4)), ("1c2540", black, (0, 0))):
        rows = np.clip(np.arange(height) - round(down * unit), 0, height - 1)
        columns = np.clip(np.arange(width) - round(right * unit), 0, width - 1)
        plate = softened(block[rows][:, columns], 1)
        plate = np.clip((plate - 0.5) * 1.6 + 0.5, 0, 1)
        cover = plate * np.clip(1.02 - 0.085 * np.clip(wear - 1.2, 0, 3) ** 1.4, 0.4, 0.97)
        paper = paper * (1 - cover[..., None] * (1 - colors(ink)[0]))
    return paper
