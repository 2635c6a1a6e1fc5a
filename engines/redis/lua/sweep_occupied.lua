-- One step of a sweep: finds channels that were reported as occupied and have had no subscriber for some time.
--
-- During this time, a node whose connection broke can reconnect.
--
-- KEYS[1] - set of the channels that were reported as occupied, in the current or earlier epochs
-- KEYS[2] - sorted set of the channels that a sweep found empty, by the time of the sweep in milliseconds
-- ARGV[1] - cursor: 0 for the first step, then the value that this script returned
-- ARGV[2] - approximate number of channels in one step
-- ARGV[3] - prefix of the names of pub/sub channels
-- ARGV[4] - milliseconds that a channel has to be empty
--
-- Returns the next cursor, which is 0 at the end, and the channels.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = redis.call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = { step[1] }
for _, channel in ipairs(step[2]) do
    if redis.call('PUBSUB', 'NUMSUB', ARGV[3] .. channel)[2] > 0 then
        redis.call('ZREM', KEYS[2], channel)
    else
        redis.call('ZADD', KEYS[2], 'NX', string.format('%.0f', now), channel)
        if now - redis.call('ZSCORE', KEYS[2], channel) >= tonumber(ARGV[4]) then
            table.insert(found, channel)
        end
    end
end
return found
