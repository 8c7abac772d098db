"""Who may call, and as whom. Knows nothing of gRPC: api/gate.py asks it for every call."""
