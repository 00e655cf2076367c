"""The `mailtailor` command; it never goes to Lambda."""
