"""The defective images that people have: which of them train the head, and how."""
