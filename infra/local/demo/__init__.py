"""The demonstration: a real shop's orders, an invented inbox for some of its customers, and pages to watch them."""
