"""Progress and errors as a person sees them."""
