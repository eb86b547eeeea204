"""Measures what the server does, side by side with what the machine allows: see `bench/README.md`."""
