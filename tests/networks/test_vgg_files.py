"""Weights files of every kind and in every state: a network, or one line."""

from __future__ import annotations

import io
import pickle
import random
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from tilestyle.config.enums import NetworkName
from tilestyle.errors import NetworkError
from tilestyle.networks.random_vgg import random_vgg
from tilestyle.networks.vgg import convolution_keys
from tilestyle.networks.vgg_weights import load_vgg

NAME = NetworkName.VGG16
MUTATIONS = 60  # of each file


class Code:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path("ran").touch, ()


def state_dict() -> dict[str, torch.Tensor]:
    network = random_vgg(NAME, width_divisor=32)
    return {
        f"{key}.{part}": getattr(network.convolutions[layer], part).contiguous()
        for layer, key in convolution_keys(NAME).items()
        for part in ("weight", "bias")
    }


def pickled(found: Any, **options: Any) -> bytes:
    into = io.BytesIO()
    torch.save(found, into, **options)
    return into.getvalue()


def whole() -> dict[str, bytes]:
    state = state_dict()
    return {
        "zip.pth": pickled(state),
        "legacy.pth": pickled(state, _use_new_zipfile_serialization=False),
        "trained.pth": pickled({"state_dict": state, "epoch": 3}),
        "plain.safetensors": save(state),
    }


def broken(good: dict[str, bytes]) -> Iterator[tuple[str, bytes]]:
    """Files that are none: empty, text, cut, and with code."""
    for suffix in (".pth", ".safetensors", ""):
        yield f"empty{suffix}", b""
        yield f"text{suffix}", b"no weights\n" * 40
        yield f"zeros{suffix}", bytes(4096)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield f"code{protocol}.pth", pickle.dumps({"features.0.weight": Code()}, protocol)
        yield f"numbers{protocol}.pth", pickle.dumps([1, 2], protocol)
    yield "code.pth", pickled({"features.0.weight": Code()})
    yield "code-legacy.pth", pickled({"features.0.weight": Code()}, _use_new_zipfile_serialization=False)
    yield "huge.safetensors", struct.pack("<Q", 2**60) + b"{}"
    for name, data in good.items():
        stem, _, suffix = name.partition(".")
        for share in (0.001, 0.1, 0.5, 0.9, 0.999):
            yield f"{stem}-cut-{share}.{suffix}", data[: int(share * len(data))]


def loaded(file: Path) -> bool:
    """Whether a network came of a file; no warning is shown of it."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        try:
            load_vgg(NAME, file)
        except NetworkError as error:
            assert "\n" not in str(error)
            assert file.name in str(error)
            return False
        finally:
            assert not shown
    return True


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "trained.pth", "plain.safetensors"])
def test_every_format_is_read(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(whole()[name])
    assert loaded(file)


def test_what_is_no_weights_file_gets_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, data in broken(whole()):
        file = tmp_path / name
        file.write_bytes(data)
        assert not loaded(file), name
    assert not (tmp_path / "ran").exists()
    assert not loaded(tmp_path / "missing.pth")
    assert not loaded(tmp_path)


@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "plain.safetensors"])
def test_damaged_bytes_get_one_line_or_other_weights(name: str, tmp_path: Path) -> None:
    data, file = whole()[name], tmp_path / name
    places = [*range(min(64, len(data))), *range(max(0, len(data) - 4096), len(data))]
    tables = [data.find(mark) for mark in (b"storage", b"features", b"cpu", b"FloatStorage") if mark in data]
    for number in range(MUTATIONS):
        drawn = random.Random(number)
        changed = bytearray(data)
        for _ in range(3):
            near = min(len(data) - 1, drawn.choice([*tables, 0, len(data) // 2]) + drawn.randrange(64))
            changed[drawn.choice([near, drawn.choice(places), drawn.randrange(len(data))])] = drawn.randrange(
                256
            )
        file.write_bytes(changed)
        loaded(file)
