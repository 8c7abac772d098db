"""How much each tenant may ask for in a minute. Knows neither gRPC nor who tenants are."""
