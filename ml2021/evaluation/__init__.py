"""How good it is: arrays in, numbers out."""
