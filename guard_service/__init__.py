"""Self-hosted moderation with Llama Guard 3. This file imports nothing, torch and gRPC least."""

__version__ = "0.1.0"
