"""From settings to a job."""
