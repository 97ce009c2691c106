-- A thousand events of one hotel with their dedup keys, as one statement: what the rows alone cost.
with numbers as (select generate_series(1, 1000) as n),
     base as (select coalesce(max(seq), 0) as last from product_event
              where hotel_id = lpad(to_hex(:client_id::bigint), 32, '0')::uuid and month = :month::int),
     gates as (insert into event_gate (gate_id, hotel_id, passed_at)
               select (lpad(to_hex(:client_id::bigint), 12, '0') || lpad(to_hex(base.last + n), 20, '0'))::uuid,
                      lpad(to_hex(:client_id::bigint), 32, '0')::uuid, now() from numbers, base)
insert into product_event (hotel_id, month, seq, event_type, user_id, event_id, day, recorded_at)
    select lpad(to_hex(:client_id::bigint), 32, '0')::uuid, :month::int, base.last + n, 'upgrade_click',
           '00000000-0000-0000-0000-000000000007', 'click-' || (base.last + n), current_date, now()
    from numbers, base;
