"""The cloud's records and rules, used by the daemon and the command line; they know neither HTTP nor Podman."""
