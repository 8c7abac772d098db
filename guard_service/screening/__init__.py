"""Files of conversations: labelled rows, and how well verdicts agree with them."""
