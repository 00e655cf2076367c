"""Mailtailor tailors each e-mail to the person who opens it."""
