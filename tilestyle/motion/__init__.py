"""Sequences of pictures: films, videos, drifts and zooms."""
