"""For operators: health, reports of failures, and logs without secrets."""
