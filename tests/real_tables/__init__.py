"""Tables as people have them: each module rebuilds situations that once went wrong."""
