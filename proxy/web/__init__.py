"""The HTTP edge: requests in, pages, files and problems out."""
