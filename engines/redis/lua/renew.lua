-- Renews the lease on a queue of API commands.
--
-- KEYS[1] - the lease
-- ARGV[1] - this node
-- ARGV[2] - milliseconds that the lease lasts
-- Returns 1, or 0 if the lease had expired.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
