-- The same action in Redis: dedup, counter with a limit, event. KEYS: gate, counter, stream.
if not redis.call('SET', KEYS[1], '1', 'NX') then return 'duplicate' end
local used = redis.call('INCR', KEYS[2])
if used > tonumber(ARGV[1]) then
    redis.call('DECR', KEYS[2])
    redis.call('DEL', KEYS[1])
    return 'quota_exceeded'
end
redis.call('XADD', KEYS[3], '*', 'type', 'import_success', 'user', ARGV[2], 'job', KEYS[1])
return 'recorded'
