"""The loss of a run over its parameters: where training was, where to look, and the picture."""
