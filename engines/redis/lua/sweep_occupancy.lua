-- Finds channels of which nobody tells what should be told: one step of going through all.
--
-- KEYS[1] - set of the channels that were told to be occupied
-- KEYS[2] - sorted set of the channels of which something is being told, by the millisecond until which
-- ARGV[1] - what stands before a channel in its name in pub/sub
-- ARGV[2] - where to go on: 0 at first, then what this script returned
-- ARGV[3] - how many channels to look at, about
--
-- Returns where to go on, which is 0 at the end, and the channels to look at.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = redis.call('SSCAN', KEYS[1], ARGV[2], 'COUNT', ARGV[3])
local found = { step[1] }
if ARGV[2] == '0' then
    for _, channel in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[3])) do
        table.insert(found, channel)
    end
end
for _, channel in ipairs(step[2]) do
    if redis.call('PUBSUB', 'NUMSUB', ARGV[1] .. channel)[2] == 0 then
        table.insert(found, channel)
    end
end
return found
