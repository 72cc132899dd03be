"""Pictures without contrast, color, extent or energy: a finite picture or one line, no arithmetic error."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tilestyle.canvas.color import color_moments, to_grayscale
from tilestyle.canvas.storage import MemoryStore
from tilestyle.config.enums import Color, Init, NetworkName, Normalize, Optimizer, Sampler, StyleLoss
from tilestyle.config.render import RenderConfig
from tilestyle.errors import NetworkError, TilestyleError
from tilestyle.images import Picture, as_source, read_picture
from tilestyle.motion.drift import drift
from tilestyle.motion.zoom import zoom
from tilestyle.motion.zoom_path import ZoomPath
from tilestyle.networks.base import FeatureNetwork
from tilestyle.networks.energy import energy_floors
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.networks.vgg_weights import load_vgg
from tilestyle.networks.wavelet import WaveletNetwork
from tilestyle.pictures import picture_path
from tilestyle.pipeline import api
from tilestyle.planning import resolve
from tilestyle.planning.inputs import Style
from tilestyle.recipes.comparison import Comparison, render_cells
from tilestyle.recipes.preview import PreviewRequest, preview
from tilestyle.recipes.printing import prepare_inputs
from tilestyle.recipes.upscale import upscale
from tilestyle.stats.distances import GramTarget, StatisticsTarget, WassersteinTarget, gram_energy, trace_energy
from tilestyle.stats.moments import Moments

SIDE = 16
FEW: dict[str, Any] = {
    "network": NetworkName.WAVELET,
    "style_layers": {"color_1": 1.0, "first_1": 1.0, "second_1": 1.0},
    "content_layers": {"contour_1": 1.0},
    **{"sweeps": 2, "margin": 0, "coarsest": 16, "patch": 32, "precision": "fp32"},
}
Array = np.ndarray[Any, np.dtype[np.uint8]]


def pictures(height: int = SIDE, width: int = SIDE) -> dict[str, Array]:
    """One of each kind."""
    random = np.random.default_rng(0)
    black = np.zeros((height, width, 3), np.uint8)
    noise = random.integers(0, 256, (height, width, 3), np.uint8)
    pixel, pair, bars, channel = black.copy(), black.copy(), black.copy(), black.copy()
    pixel[height // 2, width // 3] = 255
    pair[height // 2, width // 3 : width // 3 + 2] = (9, 200, 30)
    bars[height // 4 : height // 2] = noise[height // 4 : height // 2]
    channel[..., 1] = noise[..., 0]
    clear = np.dstack([noise, np.zeros((height, width), np.uint8)])
    return {
        "black": black,
        "white": black + 255,
        "nearly black": black + 1,
        "one color": black + np.array([200, 30, 60], np.uint8),
        "one pixel": pixel,
        "two equal pixels": pair,
        "letterbox": bars,
        "one channel": channel,
        "gray": np.repeat(noise[..., :1], 3, 2),
        "rows alike": np.repeat(noise[:1], height, 0),
        "columns alike": np.repeat(noise[:, :1], width, 1),
        "clear": clear,
        "clear black": np.zeros((height, width, 4), np.uint8),
        "noise": noise,
    }


PICTURES = pictures()
LOSSES: list[dict[str, Any]] = [
    {"style_loss": loss, "normalize": units} for loss in StyleLoss for units in Normalize
]


def finite(make: Callable[[], Any]) -> bool:
    """Make a picture: whether there is one, and then it is finite; NumPy and Python warn of nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            made = make()
        except TilestyleError as error:
            assert "\n" not in str(error)
            return False
    for picture in made if isinstance(made, list) else [made]:
        assert np.isfinite(picture.pixels).all()
        assert picture.alpha is None or np.isfinite(picture.alpha).all()
    return True


@pytest.mark.parametrize("kind", PICTURES)
def test_every_loss_of_every_picture(kind: str) -> None:
    for settings in LOSSES:
        config = RenderConfig(**FEW, **settings)
        assert finite(lambda c=config: api.render(PICTURES["noise"], PICTURES[kind], c)), settings  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["black", "letterbox"])
@pytest.mark.parametrize("sampler", Sampler)
def test_every_loss_of_every_place(kind: str, sampler: Sampler) -> None:
    """With locality the style of a patch may be black where the whole is not."""
    for settings in LOSSES:
        local = {**FEW, "size": 32, "patch": 16, "sampler": sampler, "sweeps": 1, **settings}
        config = RenderConfig(**local, locality=1 if sampler is Sampler.SWEEP else 0.5)
        assert finite(lambda c=config: api.texture(PICTURES[kind], c)), settings  # type: ignore[misc]


@pytest.mark.parametrize("kind", PICTURES)
def test_every_way_of_rendering_every_picture(kind: str) -> None:
    """Contents, color modes, beginnings, optimizers and samplers."""
    picture, noise = PICTURES[kind], PICTURES["noise"]
    rest: dict[str, Any] = {"sampler": Sampler.WINDOWS, "scale_odds": (0.5, 0.5)}
    rest |= {"size": 32, "coarsest": 32, "patch": 16}
    ways: list[tuple[Array, Array, dict[str, Any]]] = [
        *((picture, noise, {"color": color}) for color in Color),
        *((noise, picture, {"color": color}) for color in (Color.CONTENT, Color.LUMINANCE)),
        *((picture, picture, {"init": init}) for init in (Init.CONTENT, Init.STYLE, Init.UNIFORM, Init.GRAY)),
        (picture, picture, {"optimizer": Optimizer.LBFGS, "patch": 64, "tv_weight": 0.1, "tv_exponent": 1}),
        (picture, picture, {**rest, "deterministic": True, "tv_weight": 0.1, "tv_form": "gradient"}),
        *(
            (one, other, {"content_loss": "self-similarity", "content_weight": 0.1})
            for one in (picture, noise)
            for other in (picture, noise)
        ),
        (
            picture,
            noise,
            {"content_loss": "self-similarity", "normalize": Normalize.ABSOLUTE, "init": Init.GRAY},
        ),
    ]
    for content, style, settings in ways:
        config = RenderConfig(**{**FEW, **settings})
        assert finite(lambda c=content, s=style, to=config: api.render(c, s, to)), settings  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["black", "one color", "letterbox", "one channel", "noise"])
def test_every_trained_network_of_every_picture(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "load_network", lambda config: random_vgg(config.network, width_divisor=16))
    for network in (NetworkName.COMPACT, NetworkName.VGG16, NetworkName.VGG19):
        config = RenderConfig(
            network=network,
            size=32,
            sweeps=2,
            margin=0,
            coarsest=32,
            patch=32,
            precision="fp32",
            optimizer=Optimizer.ADAM,
        )
        for settings in [*LOSSES[:2], {"content_loss": "self-similarity"}]:
            both = RenderConfig(**{**vars(config), **settings})
            assert finite(lambda both=both: api.render(PICTURES[kind], PICTURES[kind], both))  # type: ignore[misc]


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2), (2, 40), (3, 5), (16, 1), (4, 50)])
@pytest.mark.parametrize("role", ["content", "style", "texture", "both"])
def test_pictures_without_extent(shape: tuple[int, int], role: str) -> None:
    """A picture, where layers see one, or one line."""
    for picture in (pictures(*shape)["black"], pictures(*shape)["noise"]):
        thin = {**FEW, "size": None if role in ("content", "both") else 16}
        if role == "texture":
            finite(lambda thin=thin, picture=picture: api.texture(picture, RenderConfig(**thin)))  # type: ignore[misc]
            continue
        content = picture if role in ("content", "both") else PICTURES["noise"]
        style = picture if role in ("style", "both") else PICTURES["noise"]
        finite(lambda thin=thin, c=content, s=style: api.render(c, s, RenderConfig(**thin)))  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["black", "letterbox", "clear black"])
def test_every_command_with_every_picture(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    Image.fromarray(PICTURES[kind]).save(file)
    config = RenderConfig(**FEW)

    def entries() -> Iterator[tuple[str, Callable[[], Any]]]:
        yield "invert", lambda: api.invert(file, RenderConfig(**{**FEW, "style_layers": {}}))
        yield "upscale", lambda: upscale(file, file, 2, config).picture
        large = as_source(Picture(np.float32(1 / 255) * pictures(64, 64)[kind][..., :3]))
        for color in (Color.STYLE, Color.LUMINANCE):
            print_ = prepare_inputs(RenderConfig(**FEW, color=color), [Style(large)], large)
            yield (
                "preview",
                lambda print_=print_: preview(print_, PreviewRequest(64, 32, ((0.5, 0.5),))).sheet(),  # type: ignore[misc]
            )
        yield "sheet", lambda: render_cells(Comparison(file, file, config), tmp_path / "s")
        yield (
            "drift",
            lambda: [read_picture(f) for f in drift(file, [file], tmp_path / "d", config, 1).picture_paths],
        )
        path = ZoomPath(2, 1.5)
        yield (
            "zoom",
            lambda: [read_picture(f) for f in zoom(file, tmp_path / "z", config, path, file).picture_paths],
        )

    for name, entry in entries():
        assert finite(entry), name


@pytest.mark.parametrize("colors", [((0, 0, 0), (255, 255, 255)), ((255, 0, 0), (0, 0, 255))])
def test_a_region_that_is_a_few_pixels(colors: tuple[tuple[int, ...], ...]) -> None:
    """Of the canvas's mask, or of a style's: at the coarsest level nothing is left of it."""
    mask = np.full((64, 64, 3), colors[0], np.uint8)
    mask[0, 0] = mask[40, 41] = colors[1]
    large = pictures(64, 64)["noise"]
    config = RenderConfig(**{**FEW, "mask": mask, "size": 32})
    styles = [Style(large, mask), Style(PICTURES["black"], "#{:02x}{:02x}{:02x}".format(*colors[0]))]
    finite(lambda: api.render(large, styles, config))
    finite(lambda: api.render(large, [Style(large, mask)], config))


@pytest.mark.parametrize(
    "network",
    [WaveletNetwork(), load_vgg(NetworkName.COMPACT), random_vgg(NetworkName.VGG16, width_divisor=16)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pictures_as_they_are_have_far_more_than_the_least_energy(
    network: FeatureNetwork, dtype: torch.dtype
) -> None:
    """So that the floor changes nothing of a render, even where it is dark."""
    network = network.to(torch.device("cpu"), dtype)
    layers = [*network.style_layers, *network.content_layers]
    least = energy_floors(network, layers)
    assert set(least) == set(layers)
    pixels = torch.from_numpy(read_picture(picture_path("swirls")).pixels[:256, :256]).permute(2, 0, 1)[None]
    for share in (1.0, 0.05):
        shown = (share * pixels).to(dtype).contiguous()
        for layer, response in network.features(shown, layers).items():
            assert float(response.float().square().sum(1).mean()) > 20 * least[layer], (layer, share)


def test_energies_have_a_floor() -> None:
    """Both kinds the same: a target of little energy counts as one of the least."""
    nothing = Moments(9, torch.zeros(4), torch.zeros(4, 4))
    assert trace_energy(nothing, 0.25) == 0.25
    assert gram_energy(nothing.second, 0.25) == 0.25**2 / 4
    full = Moments(9, torch.ones(4), torch.ones(4, 4) + torch.eye(4))
    assert trace_energy(full, 0.25) == float(full.second.trace())
    assert gram_energy(full.second, 0.25) == float(full.second.square().sum())
    for target in (
        WassersteinTarget(nothing, min_energy=0.25),
        GramTarget(nothing, min_energy=0.25),
        StatisticsTarget(nothing, 0.5, min_energy=0.25),
    ):
        assert np.isfinite(target.cotangent(full).value)


def test_rounding_of_a_flat_style_is_not_stretched_into_noise() -> None:
    """In luminance a style takes the content's deviation; one of a single color has none to stretch."""
    flat = torch.full((3, 20, 20), 0.3)
    flat[:, ::2] += 1e-7
    found = to_grayscale(
        flat, MemoryStore(), color_moments(torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)))
    )
    assert float(found.std()) < 1e-3


@pytest.mark.parametrize("size", [1e13, 1e30, 3e38])
@pytest.mark.parametrize("place", ["conv1_1", "conv3_1"])
def test_weights_that_overflow_get_one_line(size: float, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large and finite, in one convolution or by a factor of all features."""
    network = random_vgg(NetworkName.VGG16, width_divisor=16)
    network.convolutions[place].weight.clamp_(-1, 1).mul_(size)
    monkeypatch.setattr(resolve, "load_network", lambda config: network)
    config = RenderConfig(network=NetworkName.VGG16, size=32, sweeps=1, patch=32, precision="fp32")
    with pytest.raises(NetworkError, match="not finite or too large") as caught:
        api.render(PICTURES["noise"], PICTURES["noise"], config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["style_weight", "content_weight", "tv_weight", "learning_rate", "style_scale"]
)
@pytest.mark.parametrize("loss", [LOSSES[0], LOSSES[3]])
def test_settings_at_the_ends_of_their_ranges(name: str, loss: dict[str, Any]) -> None:
    for value in (1e15, 1e6, 1e-300):
        settings: dict[str, Any] = {**FEW, **loss, name: value}

        def make(settings: dict[str, Any] = settings) -> Any:
            return api.render(PICTURES["noise"], PICTURES["noise"], RenderConfig(**settings))

        finite(make)
