"""How well a model and a policy agree with labels: `guard eval`."""
