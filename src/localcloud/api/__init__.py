"""The HTTP face of the cloud, in the daemon: what its clients ask, and what servers may ask about themselves."""
