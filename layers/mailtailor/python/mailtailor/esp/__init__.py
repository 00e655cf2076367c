"""E-mail service providers, one module each."""
