"""The command line: one file a command; this folder knows every room, and no room knows it."""
