"""The certificate: a page, and plain text, made from a signed statement and from nothing else."""
