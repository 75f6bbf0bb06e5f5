"""The PostgREST client and the request tree it shares with the engine."""
