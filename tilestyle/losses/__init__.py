"""Losses: style, content, palette, total variation, anchor; from a patch to its gradient."""
