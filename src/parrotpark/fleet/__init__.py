"""What runs on the entry server, the command `parrotpark`: it keeps the fleet of GPU hosts."""
