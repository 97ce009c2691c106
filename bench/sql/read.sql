-- One row by its key: the least that a quota check can cost.
\set hotel random(0, 999)
select imports, exports, active_users from usage_monthly
    where hotel_id = lpad(to_hex(:hotel::bigint), 32, '0')::uuid and month = :month::int;
