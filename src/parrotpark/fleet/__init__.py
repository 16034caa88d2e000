"""The fleet of GPU hosts, kept from the entry server: nothing but the standard library and the cloud's client."""
