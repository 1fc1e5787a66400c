"""What must hold between fields: a request against its exit, an answer against its request."""
