"""The web server, and what it does for each request."""
