"""The container's side of endpoints: the HTTP contract of AWS's TensorFlow Serving container."""
