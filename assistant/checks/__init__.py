"""What `manage.py check` says of a project."""
