"""What every request passes first: its signature, its body, and the transcript of what it asks for."""
