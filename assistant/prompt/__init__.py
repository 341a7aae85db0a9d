"""What a model is sent: the stored history and its files, as much of it as fits, in words."""
