"""Sources of images: the published data sets, and folders of a user's own."""
