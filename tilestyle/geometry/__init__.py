"""Boxes, patches and how they cover a canvas, in integers."""
