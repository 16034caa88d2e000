"""What only the local default needs: models from packages, vLLM for processors, an image and an engine built here."""
