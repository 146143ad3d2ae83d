"""From columns to inputs: fitted on training rows, kept with the model."""
