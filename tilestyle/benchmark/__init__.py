"""What a render costs, measured on this machine."""
