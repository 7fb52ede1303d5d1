"""`chunkwise config`."""

from chunkwise.cli.output import JsonOption, print_json, print_table
from chunkwise.secret import MASK
from chunkwise.settings import FILES, Settings, found_settings

COLUMNS = {"name": "setting", "value": "value", "source": "from"}


def config(
    as_json: JsonOption = False,
) -> None:
    """Show the settings as they are read, without secrets, and where each comes from.

    Exit codes: 0 they can be used; 2 one is missing or wrong.
    """
    rows = [
        {"name": name, "value": MASK if is_secret else value, "source": source}
        for name, value, source, is_secret in found_settings()
    ]
    if as_json:
        print_json(rows)
    elif rows:
        print_table(None, COLUMNS, rows)
    else:
        print(f"Nothing is set, neither in the environment nor in {' or '.join(FILES)} here.")
    Settings.read()
