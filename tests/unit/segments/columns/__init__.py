"""Everybody at once is evaluated as the engine evaluates each."""
