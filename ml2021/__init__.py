"""Train small neural networks on tables, from a YAML file and a CSV."""
