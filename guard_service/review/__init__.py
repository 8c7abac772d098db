"""What waits for people: SQL lives here."""
