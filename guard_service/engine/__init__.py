"""The model's room: tokens, batches and the process in which torch lives."""
