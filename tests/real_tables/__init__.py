"""Tables as people have them, and what went wrong with each kind."""
