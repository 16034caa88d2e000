"""A Hetzner-Cloud-compatible API on the user's own machine; its servers are Podman containers that boot systemd.

To work on the cloud, read the rooms of its one process, best in this order: `core`, `api`, `machine`. Beside them are
the process itself (`daemon.py` and `supervisor.py`), where it keeps things (`paths.py`), and the command line over it
(`__main__.py` and `teardown.py`). `demo` is not part of the cloud. docs/local.md says how many lines that is.
"""
