"""Feature networks: VGG, the compact network and wavelets."""
