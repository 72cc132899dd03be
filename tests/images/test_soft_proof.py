"""Proofs: what Pillow's littleCMS makes of a press, pixel by pixel, in more than 8 bits."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import pyvips
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms

from tilestyle.errors import PictureError
from tilestyle.images import Intent, open_proof
from tilestyle.images.color_management import srgb_profile


@pytest.fixture
def press(tmp_path: Path) -> Path:
    """The CMYK profile that libvips carries, in the public domain."""
    path = tmp_path / "press.icc"
    path.write_bytes(bytes(pyvips.Operation.call("profile_load", "cmyk")))
    return path


def colors() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)


@pytest.mark.parametrize("intent", Intent)
def test_proof_is_that_of_pillow(press: Path, intent: Intent) -> None:
    theirs = {
        Intent.PERCEPTUAL: ImageCms.Intent.PERCEPTUAL,
        Intent.RELATIVE: ImageCms.Intent.RELATIVE_COLORIMETRIC,
    }
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(srgb_profile()))
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    inks = ImageCms.profileToProfile(
        Image.fromarray(colors()), srgb, str(press), theirs[intent], "CMYK", flags=flags
    )
    assert inks is not None
    shown = ImageCms.profileToProfile(inks, str(press), srgb, theirs[Intent.RELATIVE], "RGB", flags=flags)
    assert shown is not None
    proof = open_proof(press, intent)
    found = proof((colors() / 255).astype(np.float32))
    assert found.dtype == np.float32
    assert_allclose(found, np.asarray(shown) / 255, atol=5 / 255)  # theirs has its inks in 8 bits


def test_proof_is_duller_where_ink_is_and_leaves_grays(press: Path) -> None:
    proof = open_proof(press)
    assert proof.name == "Chemical proof"
    grays = np.linspace(0, 1, 32, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    assert_allclose(proof(grays), grays, atol=0.06)
    assert np.ptp(proof(grays), axis=2).max() < 0.02
    assert_allclose(proof(grays)[0, -1], 1, atol=0.005)
    blue = proof(np.array([[[0.0, 0.0, 1.0]]], np.float32))[0, 0]
    assert blue.max() - blue.min() < 0.8


def test_proof_goes_by_windows(press: Path) -> None:
    proof, pixels = open_proof(press), (colors() / 255).astype(np.float32)
    whole = proof(pixels)
    assert_array_equal(proof(pixels[10:20, 5:40]), whole[10:20, 5:40])
    assert_array_equal(proof(pixels[3:4, 3:4]), whole[3:4, 3:4])


def test_profiles_that_are_none(press: Path, tmp_path: Path) -> None:
    (tmp_path / "srgb.icc").write_bytes(srgb_profile())
    (tmp_path / "noise.icc").write_bytes(b"nonsense" * 30)
    (tmp_path / "cut.icc").write_bytes(press.read_bytes()[:4000])
    expected = {
        "gone.icc": "there is no file",
        "srgb.icc": "is a profile for RGB; give one for CMYK",
        "noise.icc": "is not an ICC profile",
        "cut.icc": "cannot be used for a proof",
    }
    for name, message in expected.items():
        with pytest.raises(PictureError, match=message) as caught:
            open_proof(tmp_path / name)
        assert "\n" not in str(caught.value)
