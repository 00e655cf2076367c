"""Evaluates everybody at once: the same definitions as the engine, over columns of the archive.

    files of a bucket ──DuckDB──▶ rows as numbers ──▶ streams, sorted ──▶ verdicts of conditions ──▶ of segments
       (reading)                   (rows, people)       (streams)            (verdicts, leaves)        (evaluation)

What a filter lets pass, what an attribute means, and which values are alike is asked of the engine's own functions,
once for each different value. Counts, last events, sums and shares are computed for all people together. Conditions on
pairs of events go through the engine's own rules, for those people alone whom nothing else has settled. Whoever has
something in the archive that columns cannot tell exactly is left to the engine altogether, and said to be.
"""
