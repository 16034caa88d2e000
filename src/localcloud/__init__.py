"""A Hetzner-Cloud-compatible API on the user's own machine; its servers are Podman containers that boot systemd.

Who works on the cloud must read its one process: `daemon.py` and `supervisor.py` here, and the rooms `core`, `api` and
`machine`, best in this order. Beside them lie `paths.py`, where everything is kept, and the command line: `__main__.py`
and `teardown.py`. What `demo` holds is no part of the cloud. docs/local.md says how many lines that is.
"""
