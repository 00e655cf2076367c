"""The one normalized model of things that happened."""
