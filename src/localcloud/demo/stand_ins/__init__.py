"""What only the local default needs, made on the user's machine by `make up`: models, vLLM, an image, an engine."""
