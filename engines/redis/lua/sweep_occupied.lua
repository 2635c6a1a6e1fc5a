-- Finds channels that were told to be occupied and have had no subscriber for a while: one step of going through all.
--
-- A node whose connection broke is given this while to come back.
--
-- KEYS[1] - set of the channels that were told to be occupied, now or before
-- KEYS[2] - sorted set of the channels that a sweep found empty, by the millisecond in which
-- ARGV[1] - where to go on: 0 at first, then what this script returned
-- ARGV[2] - how many channels to look at, about
-- ARGV[3] - what stands before a channel in its name in pub/sub
-- ARGV[4] - milliseconds that a channel has to be empty
--
-- Returns where to go on, which is 0 at the end, and the channels.
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
