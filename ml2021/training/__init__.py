"""From data to a finished run."""
