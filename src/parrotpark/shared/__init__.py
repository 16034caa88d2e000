"""What the machines must agree on: leases, the wish, the slot document. Nothing but the standard library."""
