"""When the two sides are compared."""

from __future__ import annotations

from mailtailor.instant import DAY, HOUR, MINUTE
from tests.bench.population import END, START

EDGE = START + 32 * DAY + 6 * HOUR + 30 * MINUTE
"""At this very millisecond those whose time is told by the half hour enter and leave windows; 30, 21 and 12 days
before it, mails were delivered."""
BEFORE_EDGE = EDGE - 1
INSTANTS = {
    START + 20 * DAY + 13 * HOUR + 7 * MINUTE + 11_123: "day 20",
    BEFORE_EDGE: "1 ms before an edge",
    EDGE: "at the edge",
    END: "day 45",
}
"""In order, and what to call them."""
