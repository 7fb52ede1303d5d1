"""`chunkwise streams`: declarations as files, shown before they are done."""

import json
from pathlib import Path

from tests.e2e.world import World

CRM = {
    "about": {"made_from": "an example"},
    "source": {
        "source_name": "crm",
        "base_path": "/v1",
        "message_path": ["$declaration$ 'x'"],
        "auth": "oauth2_client",
        "token_url": "/token",
        "token_auth": "basic",
    },
    "streams": [
        {"stream_name": "people", "path": "/people", "page_size": 50},
        {"stream_name": "firms", "path": "/firms", "page_size": 20, "id_type": "text"},
    ],
}


async def test_a_file_is_shown_done_listed_and_exported(world: World, tmp_path: Path) -> None:
    file = tmp_path / "crm.json"
    file.write_text(json.dumps(CRM))
    migration = tmp_path / "streams.sql"

    shown = await world.chunkwise("streams", "declare", str(file))
    nothing = world.db.run("select 1 from sync_sources where source_name = 'crm'")
    done = await world.chunkwise("streams", "declare", str(file), "--yes")
    again = await world.chunkwise("streams", "declare", str(file))
    file.write_text(json.dumps(CRM).replace("20", "25"))
    changed = await world.chunkwise("streams", "declare", str(file), "--yes", "--json")
    listed = await world.chunkwise("streams", "list", "--json")
    for_people = await world.chunkwise("streams", "list")
    exported = await world.chunkwise("streams", "export", "crm", "--to", str(migration))
    twice = await world.chunkwise("streams", "export", "crm", "--to", str(migration))
    in_folder = await world.chunkwise("streams", "export", "--to", str(tmp_path))
    unknown = await world.chunkwise("streams", "export", "crn")
    file.write_text(json.dumps(CRM).replace("25", "0").replace('"page_size": 20', '"page_size": 0'))
    refused = await world.chunkwise("streams", "declare", str(file), "--yes")

    assert (shown.code, nothing) == (1, [])
    for line in ("source crm (new)", '  base_path: "/v1"', "stream firms (new)", "  page_size: 20"):
        assert line in shown.out.splitlines()
    assert "--yes" in shown.err
    assert (done.code, done.out.splitlines()[-1]) == (0, "crm is declared.")
    assert (again.code, again.out) == (0, f"{file} changes nothing.\n")
    assert changed.json["changes"] == [
        {
            "what": "stream",
            "name": "firms",
            "is_new": False,
            "live_runs": 0,
            "fields": [{"field": "page_size", "old": 20, "new": 25}],
        }
    ]
    firms = next(row for row in listed.json if row["stream"] == "firms")
    assert (firms["source"], firms["page_size"], firms["revision"]) == ("crm", 25, 2)
    assert firms["auth"] == "oauth2_client (basic)"
    assert "GET /firms" in for_people.out
    assert (exported.code, twice.code, in_folder.code) == (0, 2, 0)
    assert "Did you mean crm?" in unknown.err
    assert refused.code == 1
    assert 'stream "firms": page_size is 0' in refused.err

    before = world.db.run("select * from sync_streams order by id")
    world.db.run(migration.read_text())
    assert world.db.run("select * from sync_streams order by id") == before
    assert f"{tmp_path}/" in in_folder.out
    assert "declares 2 sources." in in_folder.out
