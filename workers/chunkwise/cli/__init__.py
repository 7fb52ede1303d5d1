"""The operator's commands: tables for people, --json for programs."""
