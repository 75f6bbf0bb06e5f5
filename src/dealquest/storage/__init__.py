"""What outlives a request: PostgREST client, engine, embedded PostgreSQL, migrations."""
