"""A minute's tour: serve, upgrade under load, upgrade back, and show what the clients noticed."""
