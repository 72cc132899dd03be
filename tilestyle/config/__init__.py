"""Settings: their types, defaults and files, and the parsing of their values."""
