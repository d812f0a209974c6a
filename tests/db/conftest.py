"""Tests here need a Postgres: they request the fixture `database`."""
