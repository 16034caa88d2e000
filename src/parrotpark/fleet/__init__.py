"""What runs on the entry server: the scheduler, `parrotpark`, which keeps the fleet of GPU hosts."""
