"""The signed record: keys, envelope, ledger, statement, and the files of a result directory."""
