"""Pixels of the picture being made."""
