"""What the cloud knows and its rules, in the daemon and the command line; it knows neither HTTP nor Podman."""
