"""Pictures that follow one another."""
