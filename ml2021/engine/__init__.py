"""The function, its derivatives, and better parameters."""
