"""What servers really send, as data, and that it is read as what it is."""
