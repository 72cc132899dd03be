"""The picture being made: its pixels, colors and regions, and where they are stored."""
