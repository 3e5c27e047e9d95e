"""Sources of images and weights: what is published, and files of a user's own."""
