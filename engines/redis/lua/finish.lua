-- Removes the entries that a node has taken from a queue of API commands and carried out, and ends its lease.
--
-- KEYS[1] - list of the taken entries
-- KEYS[2] - the lease
-- ARGV[1] - this node
-- Returns 1, or 0 if the lease had expired and another node has taken the entries.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
    return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
