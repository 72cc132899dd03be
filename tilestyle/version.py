"""The version, for the package and for the pictures it makes."""

__version__ = "0.1.0"
