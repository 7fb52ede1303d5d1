"""The command `chunkwise`."""

from workers.cli.app import main

if __name__ == "__main__":
    main()
