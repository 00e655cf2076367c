"""What a recipient allowed, and what each use of data needs."""
