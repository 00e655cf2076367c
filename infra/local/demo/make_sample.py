"""Makes the demonstration's sample from the UCI data set Online Retail II.

Usage: `python -m infra.local.demo.make_sample YEAR_2010_2011.parquet`. The file holds the invoice lines with the
data set's own columns; the same file always gives the same sample. Needs duckdb (the extra `archive`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import duckdb

DATA: Final = Path(__file__).parent / "data"
SINCE: Final = "2011-07-01"
HOME_CUSTOMERS: Final = 500
FOREIGN_CUSTOMERS: Final = 140

# Only goods have a code of five digits with at most two letters; postage, fees, vouchers and corrections have others.
# Names in lower case are notes of the warehouse ("damaged", "found"), not names.
LINES: Final = """
create table lines as
select InvoiceNo::varchar as order_id, CustomerID::bigint as customer_id, Country as country,
       strptime(InvoiceDate, '%Y-%m-%d %H:%M:%S') as moment, upper(StockCode) as product_id,
       trim(regexp_replace(Description, '\\s+', ' ', 'g')) as name, Quantity as quantity, UnitPrice as price
from read_parquet($path)
where CustomerID is not null and InvoiceDate >= $since and Quantity > 0 and UnitPrice > 0
  and not starts_with(InvoiceNo::varchar, 'C') and regexp_matches(StockCode, '^[0-9]{5}[A-Za-z]{0,2}$')
  and Description = upper(Description) and not contains(Description, '?') and Country <> 'Unspecified'
"""

# Households rather than wholesalers: a few orders of moderate size. Repeat buyers come first, then the order of a
# hash, which is arbitrary and the same everywhere.
CUSTOMERS: Final = """
create table customers as
with orders as (
  select customer_id, order_id, any_value(country) as country, count(*) as lines, max(quantity) as most,
         sum(quantity * price) as value
  from lines group by all
), totals as (
  select customer_id, min(country) as country, count(*) as orders, max(lines) as longest, max(most) as most,
         sum(value) / count(*) as mean
  from orders group by customer_id
), ranked as (
  select customer_id, country, orders, country = 'United Kingdom' as home,
         row_number() over (partition by country = 'United Kingdom', orders > 1 order by md5(customer_id::varchar)) as n
  from totals where orders <= 8 and longest <= 32 and most <= 72 and mean < 500
)
select customer_id, country, orders from ranked
where n <= case when home then $home else $foreign end * case when orders > 1 then 0.75 else 0.25 end
"""

ORDERS: Final = """
copy (select order_id, customer_id, strftime(min(moment), '%Y-%m-%dT%H:%M:%SZ') as ordered_at
      from lines semi join customers using (customer_id) group by all order by order_id)
to '{target}/orders.csv' (header)
"""

ORDER_LINES: Final = """
copy (select order_id, product_id, sum(quantity)::bigint as quantity, min(price) as unit_price
      from lines semi join customers using (customer_id) group by order_id, product_id order by order_id, product_id)
to '{target}/order_lines.csv' (header)
"""

PRODUCTS: Final = """
copy (select product_id, mode(name order by name) as name, mode(price order by price) as price
      from lines semi join (select product_id from lines semi join customers using (customer_id)) using (product_id)
      group by product_id order by product_id)
to '{target}/products.csv' (header)
"""

PEOPLE: Final = (
    "copy (select customer_id, country from customers order by customer_id) to '{target}/customers.csv' (header)"
)


def make_sample(parquet: Path, target: Path) -> int:
    """Write the sample's four tables from `parquet` into the folder `target`, and return the number of order lines."""
    with duckdb.connect() as database:
        database.execute(LINES, {"path": str(parquet), "since": SINCE})
        database.execute(CUSTOMERS, {"home": HOME_CUSTOMERS, "foreign": FOREIGN_CUSTOMERS})
        for table in (PEOPLE, ORDERS, ORDER_LINES, PRODUCTS):
            database.execute(table.format(target=target))
        row = database.execute("select count(*) from lines semi join customers using (customer_id)").fetchone()
    return int(row[0]) if row else 0


def main() -> int:
    """Run from the command line."""
    if len(sys.argv) != 2:
        sys.stderr.write("Usage: python -m infra.local.demo.make_sample YEAR_2010_2011.parquet\n")
        return 2
    parquet = Path(sys.argv[1])
    if not parquet.is_file():
        sys.stderr.write(f"{parquet} is missing. Get the data set from https://doi.org/10.24432/C5CG6D first.\n")
        return 1
    sys.stdout.write(f"{make_sample(parquet, DATA):,} order lines in {DATA}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
