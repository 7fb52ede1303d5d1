"""How the workers found their work, as they say it when they stop."""

import json
from collections import Counter
from collections.abc import Sequence

from local.process import Child


def of_stopped(workers: Sequence[Child]) -> Counter[str]:
    """The looks of all of them, `<reason>_<found|empty>`; workers that listen have none."""
    lines = [line for worker in workers for line in worker.log.read_text().splitlines()]
    stopped = [json.loads(line) for line in lines if "worker_stopped" in line]
    return sum((Counter(line.get("looks", {})) for line in stopped), Counter[str]())


def summary(looks: Counter[str]) -> str:
    found = {name.removesuffix("_found"): n for name, n in looks.items() if name.endswith("_found")}
    hinted, idle = found.get("hinted", 0), found.get("idle", 0)
    own = sum(found.values()) - hinted - idle
    idle_in_all = idle + looks["idle_empty"]
    return (
        f"work found by {hinted} looks after hints, {own} after own work,"
        f" {idle} idle (of {idle_in_all})"
    )
