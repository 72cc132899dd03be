"""What the machine can do for a render."""
