"""Whether a worker, in whatever language, speaks the protocol of docs/worker-protocol.md."""
