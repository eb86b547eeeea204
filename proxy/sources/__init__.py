"""Places that have projects and files: one module for each kind."""
