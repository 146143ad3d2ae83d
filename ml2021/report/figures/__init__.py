"""Pictures: arrays and names in, a figure out."""
