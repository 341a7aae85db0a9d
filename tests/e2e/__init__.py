"""Tests with the real product as processes, real sockets, and a scripted model server."""
