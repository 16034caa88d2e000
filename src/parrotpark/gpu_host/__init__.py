"""What runs on a GPU host: nothing but the standard library, each program one file there."""
