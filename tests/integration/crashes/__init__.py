"""One world on one machine in which a function can die at any of its requests, and everything goes on without it."""
