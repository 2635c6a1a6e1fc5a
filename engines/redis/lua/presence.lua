-- Who is in a channel: clients, each followed by who it is. What has expired is forgotten.
--
-- KEYS[1] - sorted set of clients by the millisecond in which their presence ends
-- KEYS[2] - hash of who they are
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for _, client in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
    redis.call('ZREM', KEYS[1], client)
    redis.call('HDEL', KEYS[2], client)
end
return redis.call('HGETALL', KEYS[2])
