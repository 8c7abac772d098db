"""Review items out to other labelling tools, and the answers of their people back in."""
