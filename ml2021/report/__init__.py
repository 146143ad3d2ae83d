"""What people look at: a run as one page of pictures, and what it says in words."""
