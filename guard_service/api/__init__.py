"""gRPC lives here: the wire's messages in, ours inside, the wire's messages out."""
