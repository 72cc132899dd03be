"""Train the built-in network `compact`, a small student of a VGG-16."""
