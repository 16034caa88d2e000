"""A Hetzner-Cloud-compatible API on the user's own machine; its servers are Podman containers that boot systemd."""
