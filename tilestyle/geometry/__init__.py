"""Where patches lie, in whole numbers."""
