"""Every system of the reading list, one file a row: what it is, and a check that shows that it works."""
