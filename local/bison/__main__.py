"""`python -m local.bison`: serve until SIGTERM or Ctrl-C.

Prints one JSON line once it listens: `base_url`, `control_url`, `control_token`.
"""

import argparse
import json
import signal
from dataclasses import asdict

from pydantic import NonNegativeInt, TypeAdapter

from local.bison.api import World
from local.bison.fleet import Fleet, FleetError, FleetSpec, default_fleet, scaled_fleet
from local.bison.server import LATENCY_MS, SEED, address_of, application
from local.serving import listener, server

FLEET: TypeAdapter[FleetSpec | dict[str, NonNegativeInt]] = TypeAdapter(
    FleetSpec | dict[str, NonNegativeInt]
)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.bison", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument(
        "--fleet",
        default="default",
        help='default | scaled | sizes as JSON, for example \'{"acme": 40, "zen": 3}\'',
    )
    parser.add_argument("--workspaces", type=int, default=26, help="of a scaled fleet")
    parser.add_argument("--accounts", type=int, default=11_000, help="of a scaled fleet, in all")
    parser.add_argument("--largest", type=int, default=1_600, help="accounts of its largest")
    parser.add_argument("--latency-ms", type=float, default=LATENCY_MS, help="per request")
    parser.add_argument("--seed", type=int, default=SEED)
    return parser


def fleet_spec(options: argparse.Namespace) -> FleetSpec:
    if options.fleet == "default":
        return default_fleet()
    if options.fleet == "scaled":
        return scaled_fleet(
            workspaces=options.workspaces, accounts=options.accounts, largest=options.largest
        )
    chosen = FLEET.validate_json(options.fleet)
    return chosen if isinstance(chosen, FleetSpec) else FleetSpec(chosen)


def main() -> None:
    # Python's own Ctrl-C handler may lose the signal in the moment before uvicorn's takes over.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    arguments = parser()
    options = arguments.parse_args()
    try:
        world = World(Fleet(fleet_spec(options), options.seed), options.latency_ms)
        sock = listener(options.port)
    except (FleetError, ValueError, OSError) as error:
        arguments.error(str(error))
    with sock:
        address = address_of(sock)
        print(json.dumps(asdict(address)), flush=True)
        server(application(world, address.control_token)).run([sock])


if __name__ == "__main__":
    main()
