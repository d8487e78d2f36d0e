"""What several test packages share: images made by hand, stores, leak checks."""
