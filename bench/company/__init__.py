"""`python -m bench.company`: what each page and call takes where a company has written for years."""
