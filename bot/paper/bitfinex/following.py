"""One endpoint that the real exchange does not have: the market's own events, for a daemon that trades on this one.

Blocks and swap rates are in no endpoint of Bitfinex, and a history that two programs replayed side by side would be two
clocks. So a follower asks the exchange what has happened, and the exchange's market is the only one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from bot.errors import HistoryError
from bot.paper.bitfinex.asked import MAX_ID
from bot.paper.bitfinex.refusals import bad
from bot.paper.bitfinex.terms import whole

if TYPE_CHECKING:
    from bot.paper.bitfinex.protocol import Call, Endpoint


def events(call: Call) -> list[Any]:
    """Return [what the market is, the next events]: each event as its number, its kind and its fields.

    `after` is the number of the last one known, [kind, text] of it as a journal has it, or nothing for the first.
    """
    told = call.protocol.told
    if told is None:
        raise bad("path", "this exchange has no market that can be followed")
    after = call.body.get("after", 0)
    if isinstance(after, list):
        if len(after) != 2 or not all(isinstance(part, str) for part in after):
            raise bad("after", "neither a number nor [kind, text]")
        try:
            after = told.place_of(*after)
        except HistoryError as error:
            raise bad("after", error.problems[0].what) from error
    rows = told.after(whole(after, "after", 0, MAX_ID))
    return [told.market, [[entry.sequence, entry.kind, json.loads(entry.text)] for entry in rows]]


ENDPOINTS: Final[Mapping[tuple[str, ...], Endpoint]] = {("r", "market", "events"): events}
