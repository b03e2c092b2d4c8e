"""Profiles: what is required of hardware, from the author's files to one resolved value."""
