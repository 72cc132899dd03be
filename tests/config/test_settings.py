"""Settings as keywords."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from enum import StrEnum
from functools import reduce
from operator import or_
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest

from tilestyle.config.render import FilmConfig, RenderConfig, VideoConfig
from tilestyle.config.settings import Settings, VideoSettings, with_settings
from tilestyle.errors import SettingError
from tilestyle.images.write_options import WriteOptions, WriteSettings


def alternatives(hint: Any) -> list[Any]:
    return list(get_args(hint)) if get_origin(hint) in (Union, UnionType) else [hint]


def as_keyword(name: str, hint: Any) -> set[Any]:
    """What a keyword takes for a field of this type: text of choices, and lists, too."""
    kinds: list[Any] = []
    for kind in alternatives(hint):
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            kinds += [kind, Literal[tuple(choice.value for choice in kind)]]
        elif get_origin(kind) is tuple and get_args(kind)[-1] is Ellipsis:
            kinds.append(Sequence[get_args(kind)[0]])  # type: ignore[misc]
        elif get_origin(kind) is dict:
            kinds.append(Mapping[get_args(kind)])  # type: ignore[misc]
        else:
            kinds.append(kind)
    if name == "size" or str in kinds:
        kinds = [str, *(kind for kind in kinds if get_origin(kind) is not Literal)]
    return set(alternatives(reduce(or_, kinds)))


@pytest.mark.parametrize(
    ("kind", "keyword_types"),
    [(RenderConfig, Settings), (VideoConfig, VideoSettings), (WriteOptions, WriteSettings)],
)
def test_keywords_are_the_fields(kind: type[Any], keyword_types: Any) -> None:
    stored, keywords = get_type_hints(kind), get_type_hints(keyword_types)
    assert list(keywords) == [field.name for field in fields(kind)]
    for name, hint in keywords.items():
        assert set(alternatives(hint)) == as_keyword(name, stored[name]), name
    assert not keyword_types.__required_keys__


@pytest.mark.parametrize("kind", [RenderConfig, FilmConfig, VideoConfig, WriteOptions])
def test_every_field_is_documented(kind: type[Any]) -> None:
    attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2].partition("\nRaises:")[0]
    documented = re.findall(r"^    (\w+): ", attributes, re.M)
    assert documented == [field.name for field in fields(kind)]


def test_keywords_replace_settings() -> None:
    config = RenderConfig(size=300, content_weight=2.0, sweeps=4)
    assert with_settings(config, {}) is not None
    assert with_settings(None, {}) == RenderConfig()
    assert with_settings(None, {"seed": 2}, config) == RenderConfig(
        size=300, content_weight=2.0, sweeps=4, seed=2
    )
    assert with_settings(config, {"size": "40x30"}).size == (40, 30)
    # Those that say the same in another way are replaced as well.
    assert with_settings(config, {"strength": 0.3}).content_weight is None
    assert with_settings(config, {"quality": "best"}).sweeps is None
    assert with_settings(config, {"quality": "best", "sweeps": 5}).sweeps == 5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strenght": 0.3}, "there is no setting 'strenght'; did you mean 'strength'?"),
        ({"obsrver": print}, "there is no setting 'obsrver'; did you mean 'observer'?"),
        ({"quality": "rough"}, "quality cannot be 'rough'; give one of draft, normal, best"),
        ({"strength": 0.3, "content_weight": 1.0}, "strength and content_weight cannot be combined; give one"),
    ],
)
def test_wrong_keywords_get_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        with_settings(None, settings, keywords=("observer",))
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_something_else_as_the_configuration_gets_one_line() -> None:
    with pytest.raises(SettingError, match="config cannot be 1024; give a RenderConfig, or settings by name"):
        with_settings(1024, {})  # type: ignore[arg-type]
