"""The strict CSV reader: open, hash, decode, split into records, parse and check."""
