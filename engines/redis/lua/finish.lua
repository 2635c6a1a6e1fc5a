-- Ticks off what a node has taken from a queue of API commands, and ends its lease.
--
-- KEYS[1] - list of what is taken
-- KEYS[2] - the lease
-- ARGV[1] - this node
-- Returns 1, or 0 when the lease had run out and what was taken belongs to another node now.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
