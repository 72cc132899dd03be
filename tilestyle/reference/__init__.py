"""The untiled reference: the same picture without patches, by autograd."""
