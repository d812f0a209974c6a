"""Tests here need a Postgres: they ask for the fixture `database`."""
