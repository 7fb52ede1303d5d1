"""The worker: claims leases, fetches their pages and hands them over."""
