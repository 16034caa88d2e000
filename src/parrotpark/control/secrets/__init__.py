"""Secrets: tracked names, untracked values, made once and kept in one vault file."""

SECRETS_FILE = "secrets.yml"  # in parrotpark_state_dir
