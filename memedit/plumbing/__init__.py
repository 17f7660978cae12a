"""What every room may need and none is about: parts by name, threads, awaitable verbs, closing, PostgreSQL."""
