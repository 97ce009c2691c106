-- One billable action as one would write it by hand: the counter, its sequence number, the event.
\set hotel random(1, :hotels)
begin;
insert into usage_monthly as u (hotel_id, month, imports, last_seq)
    values (lpad(to_hex(:hotel::bigint), 32, '0')::uuid, :month::int, 1, 1)
    on conflict (hotel_id, month) do update set imports = u.imports + 1, last_seq = u.last_seq + 1
    returning last_seq as seq \gset
insert into product_event (hotel_id, month, seq, event_type, user_id, dedup_key, day, recorded_at)
    values (lpad(to_hex(:hotel::bigint), 32, '0')::uuid, :month::int, :seq::bigint, 'import_success',
            '00000000-0000-0000-0000-000000000007', 'job-' || :client_id::text || '-' || :seq::text,
            current_date, now());
commit;
