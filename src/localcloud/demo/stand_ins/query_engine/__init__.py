"""A query engine for LiteLLM, a Node program that runs on the entry server, and what packs it on the user's machine."""
