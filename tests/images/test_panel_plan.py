"""The plan of a wall's panels."""

from __future__ import annotations

import numpy as np

from tilestyle.images import draw_panel_plan
from tilestyle.images.picture import Picture


def test_the_title_of_a_narrow_wall_is_not_cut_off() -> None:
    black = Picture(np.zeros((60, 20, 3), np.float32))
    spans = [(0.0, 0.55), (0.45, 1.0)]
    plan = draw_panel_plan(black, spans, ["1", "2"], "a title that is much wider than the picture below it")
    right = np.flatnonzero(plan.pixels[:30].min((0, 2)) < 0.5).max()  # of the title
    assert 60 < right < plan.width - 20
