"""How files are written so that none is ever half there."""
