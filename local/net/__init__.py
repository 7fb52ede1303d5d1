"""The process behind the stand-in for pg_net (`local/sql/net.sql`): sends what is queued.

It keeps what makes pg_net a hint and no queue: one try per request; at most 200 in one transaction
with their answers, which nobody sees before the slowest is there, and all of which are sent again
if the process dies meanwhile; nothing is sent for a row that was inserted without a wake.

    deliverer = stack.deliver(database)      # Stack.deliver(): the live database
    deliverer.stop(kill=True)
    deliverer.start()
    update stand_in.net_faults set dropped_share = 1, doubled_share = 0, delay_ms = 0
"""

from local.net.deliverer import Deliverer

__all__ = ["Deliverer"]
