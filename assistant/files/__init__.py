"""What is known and read of files that strangers made."""
