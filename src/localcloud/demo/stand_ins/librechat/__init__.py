"""Stands in for LibreChat, its RAG API and Meilisearch where no registry has their images."""
