"""The command line: parse arguments, call a command, print its result.

Each command is implemented in the module of its name in `ml2021.commands`, imported when it runs.
"""
