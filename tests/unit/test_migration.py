"""What is written into supabase/migrations."""

import pytest

from local.migration import migrations


@pytest.mark.parametrize("name", migrations())
def test_a_migration_ends_with_the_word_to_postgrest(name: str) -> None:
    """It serves an old schema otherwise; and a notification leaves with the commit."""
    assert migrations()[name].endswith(";\n\nnotify pgrst, 'reload schema';\n")
