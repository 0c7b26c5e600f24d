"""The pages of a node: a process of its own that reads the database and never touches detection."""
