"""Where events are published: one file for each broker, and webhooks."""
