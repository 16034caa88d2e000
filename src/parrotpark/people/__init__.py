"""Those who use the assistant: invited, listed, exported and erased, on the entry server."""
