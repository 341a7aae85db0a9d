"""What texts are made of and may hold. Pure."""
