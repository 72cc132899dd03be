"""From pictures and settings to a job: sizes, levels, memory, and styles for regions."""
