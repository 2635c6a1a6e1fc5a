-- Stores that a client is in a channel.
--
-- KEYS[1] - sorted set of clients by the time in milliseconds when their presence expires
-- KEYS[2] - hash of the information about clients
-- ARGV[1] - client
-- ARGV[2] - information about the client
-- ARGV[3] - milliseconds until the presence expires
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < tonumber(ARGV[3]) then
        redis.call('PEXPIRE', key, ARGV[3])
    end
end
