"""The loss, as the gradient of a patch."""
