"""How a file becomes a table: opened, hashed, decoded, cut into records, parsed and judged."""
