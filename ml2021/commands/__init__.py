"""The commands, a file each: read one to know what it does."""
