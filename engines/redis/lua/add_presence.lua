-- Notes that a client is in a channel.
--
-- KEYS[1] - sorted set of clients by the millisecond in which their presence ends
-- KEYS[2] - hash of who they are
-- ARGV[1] - client
-- ARGV[2] - who it is
-- ARGV[3] - milliseconds that its presence lasts
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] * 1000 + math.floor(time[2] / 1000) + ARGV[3], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
for _, key in ipairs(KEYS) do
    if redis.call('PTTL', key) < tonumber(ARGV[3]) then
        redis.call('PEXPIRE', key, ARGV[3])
    end
end
