"""What operators see and do, beyond a worker's calls."""
