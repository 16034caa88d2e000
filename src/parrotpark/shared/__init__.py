"""What the machines have to agree on: leases, the wish, the slot document. Nothing but the standard library."""
