"""AWS services that moto answers, and what they acknowledged, on disk."""
