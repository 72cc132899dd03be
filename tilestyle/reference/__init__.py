"""The same picture without tiles, by autograd."""
