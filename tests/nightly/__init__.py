"""What takes longer than every change should wait for."""
