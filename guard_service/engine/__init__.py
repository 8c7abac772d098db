"""The model's room: the process in which torch turns ids into readings."""
