"""The S3 server of the local cloud, built from its source."""
