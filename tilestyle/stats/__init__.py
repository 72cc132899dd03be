"""Statistics of features and colors, their distances, and the gradients of these."""
