"""Statistics of features."""
