"""The Python heart of Parrotpark, typed and free of Ansible; docs/architecture.md says which room runs where."""
