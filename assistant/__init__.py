"""Parley: a room where several people talk with an AI together."""
