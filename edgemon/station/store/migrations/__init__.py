"""Steps from one shape of the tables to the next, in order; alembic takes them when a store is opened."""
