"""Tables as people have them, and what used to go wrong with them."""
