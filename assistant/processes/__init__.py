"""How the processes are started, watched, replaced and stopped."""
