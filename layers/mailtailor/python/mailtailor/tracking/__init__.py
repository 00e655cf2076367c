"""Tokens, pixels, links and the instrumenting of mails."""
