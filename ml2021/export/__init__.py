"""A trained function in a format that other programs run: ONNX, its preprocessing inside."""
