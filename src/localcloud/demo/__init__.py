"""What `make doctor` and `make up` run on the user's machine; the cloud itself does without it."""
