"""What runs everywhere: leases, the wish, the slot document, calls to Keycloak. Nothing but the standard library."""
