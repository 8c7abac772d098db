"""Messages and stubs generated from `protos/` by `make protos`; never edited."""
