"""Settings take values of their types, plain or NumPy's, and say in one line what they do not take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
import torch
from PIL import Image

from tests.config.test_toml import BESIDE
from tilestyle.config.enums import Codec
from tilestyle.config.paper import Paper
from tilestyle.config.render import FILE_FIELDS, FilmConfig, RenderConfig, VideoConfig
from tilestyle.config.toml import load_settings, merge_settings, save_settings
from tilestyle.errors import SettingError, TilestyleError
from tilestyle.images import Picture, WriteOptions
from tilestyle.motion.zoom_path import ZoomPath
from tilestyle.pipeline.fingerprint import render_fingerprint
from tilestyle.recipes.preview import PreviewRequest
from tilestyle.recipes.printing import PrintOptions


class Named:
    """Somebody's own path."""

    def __init__(self, name: Any) -> None:
        self.name = name

    def __fspath__(self) -> Any:
        return self.name


# Everything that somebody may give, to every field.
VALUES: list[Any] = [
    *(None, True, False, 0, 1, 2, 64, -1, -5, 2**31, 2**63, 10**400, 10**5000),
    *(0.0, 0.25, 0.5, 1.0, 64.0, 64.5, -0.5, 1e300, 1e-300, float("nan"), float("inf"), float("-inf"), 1j),
    *(
        "",
        "64",
        "none",
        "2GiB",
        "9" * 400 + "TB",
        "x\0y",
        "no such file.png",
        "relative",
        "wide\nline",
        "\ud800",
    ),
    *(
        b"64",
        bytearray(b"64"),
        [],
        (),
        {},
        set(),
        {1, 2},
        [64],
        [48, 64],
        (48, 64),
        (1, 2, 3),
        [1, "a"],
        [[1, 2]],
    ),
    *([1.0, 0.5], (0.5, float("nan")), [0, 0], [True, 1], [-1, 2], ["relu1_1"], range(1, 3), "48x64"),
    *(
        {"first_1": 1.0},
        {"first_1": "1"},
        {"first_1": None},
        {1: 1.0},
        {"first_1": -1.0},
        {"first_1": np.int64(2)},
    ),
    *(np.int64(64), np.int8(2), np.uint8(64), np.float32(0.5), np.float64(64.0), np.float16(2), np.bool_(True)),
    *(np.str_("w2"), np.array(64), np.array(0.5), np.array([48, 64]), np.array([0.5, 0.5]), np.array(True)),
    *(np.array("a"), np.array([[1, 2], [3, 4]]), np.datetime64("2020-01-01"), np.longdouble(0.5), np.zeros(0)),
    *(torch.tensor(64), torch.tensor(0.5), torch.tensor([48, 64]), torch.empty((), device="meta")),
    *(torch.device("cpu"), torch.float32, Decimal("0.5"), Decimal("sNaN"), Fraction(1, 2), 10**30),
    *(
        object(),
        RenderConfig,
        len,
        Path("no such file.png"),
        Path("."),
        Named("no such.png"),
        Named(b"x"),
        Named(3),
    ),
    *(Named("x\0y"), iter([1, 2]), slice(1, 2), Codec.AV1, StopIteration(), memoryview(b"ab")),
]


def cases(kind: type) -> list[Any]:
    return [pytest.param(kind, each.name, id=f"{kind.__name__}-{each.name}") for each in fields(kind)]


OBJECTS = ("color", "boxes", "ink")  # of ours, which no file of settings has
KINDS: list[type] = [RenderConfig, VideoConfig, FilmConfig, PrintOptions, WriteOptions]
NEEDED: dict[type, dict[str, Any]] = {
    Paper: {"height": 200.0, "width": 300.0},
    ZoomPath: {"steps": 12, "factor": 1.5},
    PreviewRequest: {"side": 64, "crop": 64, "at": ((0.5, 0.5),)},
}


@pytest.mark.parametrize(("kind", "name"), [case for each in (*KINDS, *NEEDED) for case in cases(each)])
def test_every_field_takes_a_value_or_refuses_it_in_one_line(kind: type, name: str) -> None:
    """What is taken is plain, so that it can be compared, hashed, and written as JSON."""
    if (kind, name) == (WriteOptions, "provenance"):
        pytest.skip("any JSON")
    if kind is WriteOptions and name in OBJECTS:
        for value in VALUES:
            if value is not None:
                with pytest.raises(SettingError, match=f"^{name} is of the type"):
                    WriteOptions(**{name: value})
        return
    beside = {**NEEDED.get(kind, {}), **(BESIDE.get(name, {}) if kind is RenderConfig else {})}
    taken = 0
    for value in [*VALUES, *(each.default for each in fields(kind) if each.name == name)]:
        if value is MISSING:
            continue
        try:
            settings = kind(**{**beside, name: value})
        except SettingError as error:
            assert "\n" not in str(error), value
            assert len(str(error)) < 400, value
            continue
        taken += 1
        if not (kind is RenderConfig and name in FILE_FIELDS):
            found = getattr(settings, name)
            assert plain(found), (value, found)
            assert settings == kind(**{**beside, name: found})
    assert taken


def plain(value: Any) -> bool:
    """Whether a value is of Python's own types, and can be written as JSON."""
    if isinstance(value, tuple):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(type(key) is str and plain(each) for key, each in value.items())
    json.dumps(value)
    return type(value).__module__ == "builtins" or type(value).__mro__[1].__name__ == "StrEnum"


@pytest.mark.parametrize("name", [each.name for each in fields(RenderConfig)])
def test_what_is_refused_is_called_by_its_name(name: str) -> None:
    for value in (object(), 1j, np.array([[1, 2], [3, 4]]) if name not in FILE_FIELDS else b"x"):
        with pytest.raises(SettingError, match=f"^{name.replace('_', '-')} cannot be .*; give "):
            RenderConfig(**{**BESIDE.get(name, {}), name: value})


GOOD: list[tuple[str, Any, Any]] = [
    ("size", np.int64(64), 64),
    ("size", [48, 64], (48, 64)),
    ("size", np.array([48, 64]), (48, 64)),
    ("size", (np.int64(48), np.int32(64)), (48, 64)),
    ("size", torch.tensor(64), 64),
    ("seed", np.uint64(2**40), 2**40),
    ("content_weight", np.float32(0.5), 0.5),
    ("content_weight", 1, 1.0),
    ("tv_weight", Fraction(1, 2), 0.5),
    ("style_blend", [1, np.float64(0.5)], (1.0, 0.5)),
    ("sweeps", [3, np.int64(2)], (3, 2)),
    ("turn_style", np.bool_(True), True),
    ("style_layers", {np.str_("first_1"): np.float32(2)}, {"first_1": 2.0}),
    ("device", torch.device("cpu"), "cpu"),
    ("style_loss", np.str_("gram"), "gram"),
    ("memory", 8e9, 8e9),
]


@pytest.mark.parametrize(("name", "value", "wanted"), GOOD)
def test_numbers_of_numpy_and_lists_are_taken(name: str, value: Any, wanted: Any, tmp_path: Path) -> None:
    config = RenderConfig(**{name: value})
    found = getattr(config, name)
    assert found == wanted
    assert isinstance(found, type(wanted))
    assert json.loads(json.dumps(render_fingerprint(config, {}))) == json.loads(
        json.dumps(render_fingerprint(RenderConfig(**{name: wanted}), {}))
    )
    save_settings(tmp_path / "settings.toml", config)
    assert merge_settings(load_settings(tmp_path / "settings.toml").settings) == config


@pytest.mark.parametrize(
    "value", [-5, 0, 64.5, "0", True, [64, 64.5], [64, 64, 64], (0, 5), float("nan"), float("inf"), 2**40]
)
def test_a_size_that_is_none_gets_one_line(value: Any) -> None:
    with pytest.raises(SettingError, match=r"^size cannot be .*; give a long side, or a pair"):
        RenderConfig(size=value)


def test_every_setting_that_may_be_a_file_says_so() -> None:
    hints = get_type_hints(RenderConfig)
    named = {name for name, hint in hints.items() if "Any" in str(hint) or "PathLike" in str(hint)}
    assert named | {"anchor", "trust"} == FILE_FIELDS


# What a picture may be given as.
@dataclass(frozen=True)
class Given:
    way: str
    value: Any


def given(folder: Path, level: int) -> Iterator[Given]:
    """One picture in every way that it may be given; `level` says what is in it."""
    pixels = np.full((8, 8, 3), level, np.uint8)
    file = folder / "picture.png"
    Image.fromarray(pixels).save(file)
    yield Given("str", str(file))
    yield Given("Path", file)
    yield Given("PathLike", Named(str(file)))
    yield Given("PIL", Image.fromarray(pixels))
    yield Given("array", pixels)
    yield Given("tensor", torch.from_numpy(pixels).permute(2, 0, 1))
    yield Given("Picture", Picture(np.float32(1 / 255) * pixels))


@pytest.mark.parametrize("name", sorted(FILE_FIELDS))
def test_what_is_in_a_file_is_part_of_what_a_render_is_of(name: str, tmp_path: Path) -> None:
    def facts(way: str, level: int) -> Any:
        value = next(each.value for each in given(tmp_path, level) if each.way == way)
        beside = {"anchor": np.zeros((8, 8, 3), np.uint8)} if name == "trust" else {}
        found = render_fingerprint(RenderConfig(**{**beside, name: value}), {})
        return json.loads(json.dumps(found))["settings"][name]

    ways = ["str", "Path", "PathLike", "PIL", "array", "tensor", "Picture"]
    for way in ways[:3] if name == "weights" else ways:
        assert facts(way, 10) == facts(way, 10), way
        assert facts(way, 10) != facts(way, 11), way
    assert facts("str", 10) == facts("Path", 10) == facts("PathLike", 10)


@pytest.mark.parametrize("name", sorted(FILE_FIELDS))
@pytest.mark.parametrize("kind", [str, Path])
def test_a_file_that_is_missing_gets_one_line(name: str, kind: type, tmp_path: Path) -> None:
    beside = {"anchor": np.zeros((8, 8, 3), np.uint8)} if name == "trust" else {}
    with pytest.raises(TilestyleError, match=r"none\.png"):
        render_fingerprint(RenderConfig(**{**beside, name: kind(tmp_path / "none.png")}), {})


def test_words_that_are_no_files_stay_words() -> None:
    found = render_fingerprint(RenderConfig(init="noise", network="vgg16", weights="random"), {})["settings"]
    assert found["init"] == "noise"
    assert found["weights"] == "random"
