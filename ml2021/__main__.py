"""`python -m ml2021` is the command `ml2021`."""

from ml2021.cli import main

if __name__ == "__main__":
    main()
