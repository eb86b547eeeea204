"""What this machine keeps: small records in the index, artifacts as files."""
