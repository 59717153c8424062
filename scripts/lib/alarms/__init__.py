"""How often the guard of upgrades is wrong."""
