-- Takes entries from a queue of API commands for one node, unless another node is at it.
--
-- What a node took stands in a list of its own until the node has carried it out (finish.lua). When a node died
-- meanwhile, its lease runs out and the next one gets the same entries first: the order stays.
--
-- KEYS[1] - list, the queue
-- KEYS[2] - list of what is taken
-- KEYS[3] - the lease: the node that is at it
-- ARGV[1] - this node
-- ARGV[2] - milliseconds that the lease lasts
-- ARGV[3] - how many entries at most
-- Returns the entries; false when another node is at it.
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
