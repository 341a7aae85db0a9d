"""What runs in a worker process: the loop, one turn on it, and how a turn asks models and calls tools."""
