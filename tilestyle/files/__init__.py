"""Safe file handling: atomic writes, durability, ownership of folders, and checks of paths."""
