"""Train small neural networks on tables, from a YAML file and a CSV."""

__version__ = "0.1.0"
