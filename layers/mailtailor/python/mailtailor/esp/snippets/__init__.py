"""What is pasted into an ESP's mail so that it fetches blocks while it sends, one module an ESP."""
