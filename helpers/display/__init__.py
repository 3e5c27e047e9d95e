"""Progress, errors and pictures as a person sees them."""
