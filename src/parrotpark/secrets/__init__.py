"""Secrets: tracked names, untracked values, made once and kept in one vault file."""
