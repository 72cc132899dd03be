"""The loop that turns gradients into steps of the canvas."""
