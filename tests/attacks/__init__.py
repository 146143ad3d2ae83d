"""Attacks: files, tables and directories that were meant to break the program."""
