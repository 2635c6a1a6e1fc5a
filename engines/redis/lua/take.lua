-- Takes entries from a queue of API commands for one node, unless another node has the lease.
--
-- Taken entries are in a separate list until the node has carried them out (finish.lua). If the node dies meanwhile,
-- its lease expires, and the next node gets the same entries first, so that the order is kept.
--
-- KEYS[1] - list, the queue
-- KEYS[2] - list of the taken entries
-- KEYS[3] - the lease: the node that has it
-- ARGV[1] - this node
-- ARGV[2] - milliseconds that the lease lasts
-- ARGV[3] - maximum number of entries
-- Returns the entries; false if another node has the lease.
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[1] then
    return false
end
if redis.call('EXISTS', KEYS[2]) == 0 then
    local entries = redis.call('LRANGE', KEYS[1], 0, ARGV[3] - 1)
    if #entries == 0 then
        return entries
    end
    redis.call('RPUSH', KEYS[2], unpack(entries))
    redis.call('LTRIM', KEYS[1], #entries, -1)
end
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
return redis.call('LRANGE', KEYS[2], 0, -1)
