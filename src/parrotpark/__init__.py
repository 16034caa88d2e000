"""The Python heart of Parrotpark: clouds, leases, slots and secrets, typed and free of Ansible."""
