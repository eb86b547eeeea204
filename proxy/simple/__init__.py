"""The Simple API as values: pages, files, their JSON and HTML, names and negotiation."""
