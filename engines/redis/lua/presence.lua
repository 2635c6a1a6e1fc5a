-- Returns the clients in a channel, each followed by the information about it. Removes expired ones.
--
-- KEYS[1] - sorted set of clients by the time in milliseconds when their presence expires
-- KEYS[2] - hash of the information about clients
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
    redis.call('ZREM', KEYS[1], client)
    redis.call('HDEL', KEYS[2], client)
end
return redis.call('HGETALL', KEYS[2])
