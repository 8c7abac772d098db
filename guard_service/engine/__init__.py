"""The model's room: text to ids, and the process in which torch reads them."""
