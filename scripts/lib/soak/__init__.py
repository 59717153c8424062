"""Checked work by real clients while the server's logic is swapped under them."""
