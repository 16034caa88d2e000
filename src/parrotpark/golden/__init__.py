"""The golden image: its fingerprint, the server it is baked on, and which image is made, used and pruned."""
