"""Figures, each drawn from plain arrays and names."""
