"""Invariant 13: a checker written independently, in SQL alone, over nothing but the list of postings."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from bot.core.events import Posting

# Every asset has three letters, BTC and TH1.
SCHEMA = """
create table postings (
    line        integer primary key,
    txn         integer not null,
    time_ns     integer not null,
    kind        text    not null check (kind <> ''),
    account     text    not null,
    amount      integer not null check (amount <> 0),
    owner       text generated always as (substr(account, 1, instr(account, '/') - 1)) stored,
    purse       text generated always as
                (substr(account, instr(account, '/') + 1, length(account) - instr(account, '/') - 4)) stored,
    asset       text generated always as (substr(account, -3)) stored
) strict;
create table terms (tranche_lots integer not null, fee_ppm integer not null, cut_ppm integer not null) strict;
"""

RULES = {
    "the postings of a transaction sum to zero for each asset": """
        select txn, asset, sum(amount) from postings group by txn, asset having sum(amount) <> 0""",
    "all accounts of an asset sum to zero": """
        select asset, sum(amount) from postings group by asset having sum(amount) <> 0""",
    "time and transactions never fall": """
        select line, txn, time_ns from (
            select line, txn, time_ns, lag(txn, 1, 0) over w as last_txn, lag(time_ns, 1, 0) over w as last_ns
            from postings window w as (order by line)) where txn < last_txn or time_ns < last_ns""",
    "a transaction has one time": """
        select txn, count(distinct time_ns) from postings group by txn having count(distinct time_ns) > 1""",
    "the tranche is issued once and only expiry takes it back": """
        select 'issued', coalesce(sum(amount), 0) from postings where purse = 'issuance' and kind = 'issue'
        group by 1 having sum(amount) <> -(select tranche_lots from terms)
        union all select kind, count(*) from postings
        where purse = 'issuance' and kind not in ('issue', 'expiry') group by kind""",
    "long less short is what is issued": """
        select asset, sum(amount) from postings where asset <> 'BTC' and owner <> 'world' group by asset
        having sum(amount) <> (select -coalesce(sum(amount), 0) from postings where purse = 'issuance')""",
    "bitcoin comes from deposits and blocks and leaves by withdrawals": """
        select account, kind, sum(amount) from postings where owner = 'world' and asset = 'BTC'
        and kind not in ('deposit', 'withdrawal', 'block') group by account, kind""",
    "the pool's fee of a block is the floor of income x fee": """
        select txn, fee, income from (
            select txn, -sum(amount) filter (where account = 'world/pool/BTC') as income,
                   coalesce(sum(amount) filter (where account = 'venue/pool_fee/BTC'), 0) as fee
            from postings where kind = 'block' group by txn)
        where fee <> income * (select fee_ppm from terms) / 1000000""",
    "what blocks brought is paid out or still held": """
        select held, brought, paid from (
            select coalesce(sum(amount) filter (where account = 'venue/dividends/BTC'), 0) as held,
                   coalesce(sum(amount) filter (where account = 'venue/dividends/BTC' and kind = 'block'), 0)
                   as brought,
                   coalesce(sum(amount) filter (where account <> 'venue/dividends/BTC' and kind = 'dividend'), 0)
                   as paid
            from postings)
        where held <> brought - paid""",
    "what is owed is what is lent": """
        select asset, sum(amount) from postings where purse in ('owed', 'lent')
        group by asset having sum(amount) <> 0""",
    "the venue's cut of interest is at most its share": """
        select txn, cut, paid from (
            select txn, sum(amount) filter (where account = 'venue/interest_cut/BTC') as cut,
                   -sum(amount) filter (where amount < 0) as paid
            from postings where kind = 'interest' group by txn)
        where cut * 1000000 > paid * (select cut_ppm from terms)""",
    "no wallet is ever overdrawn": """
        select account, txn, balance from (
            select account, txn, owner, purse, asset,
                   sum(sum(amount)) over (partition by account order by txn) as balance
            from postings group by account, txn)
        where balance < 0 and owner <> 'world' and purse <> 'owed'
        and account not in ('venue/deficit/BTC', 'venue/dividends/BTC')
        and not (owner = 'market' and purse = 'exchange' and asset = 'BTC')
        and not (purse in ('trading', 'position') and asset = 'BTC')""",
    "a trading wallet is overdrawn only under a position": """
        select owner, cash, owed from (
            select owner, coalesce(sum(amount) filter (where purse = 'trading' and asset = 'BTC'), 0) as cash,
                   coalesce(sum(amount) filter (where purse = 'owed' and asset = 'BTC'), 0) as owed,
                   coalesce(sum(amount) filter (where purse = 'owed' and asset <> 'BTC'), 0) as owed_lots
            from postings where owner not in ('venue', 'world') group by owner)
        where cash < 0 and owed = 0 and owed_lots = 0""",
    "nobody owes less than nothing": """
        select account, sum(amount) from postings where purse = 'owed' group by account having sum(amount) > 0""",
}


def breaches(postings: Iterable[Posting], tranche_lots: int, fee_ppm: int, cut_ppm: int) -> list[str]:
    """Return each broken rule with its first offending row."""
    db = sqlite3.connect(":memory:")
    db.executescript(SCHEMA)
    db.execute("insert into terms values (?, ?, ?)", (tranche_lots, fee_ppm, cut_ppm))
    db.executemany("insert into postings (txn, time_ns, kind, account, amount) values (?, ?, ?, ?, ?)", postings)
    found = []
    for rule, query in RULES.items():
        row = db.execute(query).fetchone()
        if row is not None:
            found.append(f"{rule}: {row}")
    db.close()
    return found
