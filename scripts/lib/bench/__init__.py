"""This server beside redis-server, measured in turn on one machine."""
