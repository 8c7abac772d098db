"""Between callers and engines: who is let in, who goes together, who is read when."""
