"""The platform's side of endpoints: instances, routing, and the models on their disks and in their containers."""
