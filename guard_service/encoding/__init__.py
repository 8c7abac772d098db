"""Text to ids: the checkpoint's own tokenizer, and windows over what is too long for one prompt."""
