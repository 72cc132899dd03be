"""A job run to its picture."""
