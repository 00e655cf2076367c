"""What Mailtailor can do, one module each: the functions it takes, with their rights, triggers and routes."""
