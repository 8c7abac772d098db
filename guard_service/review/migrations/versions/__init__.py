"""In order; never changed once released."""
