"""What broke under attack from outside, each kind of it in a file."""
