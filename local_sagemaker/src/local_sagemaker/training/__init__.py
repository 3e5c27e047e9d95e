"""Training jobs: from their channels to their artifacts."""
