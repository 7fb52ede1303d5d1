"""The command `chunkwise`."""

from chunkwise.cli.app import main

if __name__ == "__main__":
    main()
