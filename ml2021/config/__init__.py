"""What the user asks for: the schema of a config, and how it is read."""
