"""Changes that wait for somebody else: a kind is one class in one file here, found by being there."""
