-- Compares whether a channel has subscribers with what was told of that, and says what to tell.
--
-- KEYS[1] - set of the channels that were told to be occupied
-- KEYS[2] - sorted set of the channels of which something is being told, by the millisecond until which
-- KEYS[3] - sorted set of the channels that a sweep found empty, by the millisecond in which
-- KEYS[4] - hash of the epoch
-- ARGV[1] - channel
-- ARGV[2] - its name in pub/sub
-- ARGV[3] - milliseconds that telling may take
-- ARGV[4] - what this script returned as the second value, when that has been told now; or nothing
-- ARGV[5] - what this script returned as the third value when the node that asks had its last look as a subscriber;
--           or nothing, when there was none
--
-- Returns 1 to tell that it is occupied, 0 that it is not, -1 for nothing; until when, as text; and the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
local told = redis.call('SISMEMBER', KEYS[1], ARGV[1])
local ends = string.format('%.0f', now + ARGV[3])
local epoch = redis.call('HGET', KEYS[4], 'id') or 'none'

if lease and string.format('%.0f', lease) == ARGV[4] then
    redis.call('ZREM', KEYS[2], ARGV[1])
elseif lease and tonumber(lease) > now then
    return { -1, '', epoch } -- whoever tells it looks again when it is done
elseif lease then
    -- It was to be told, and perhaps was not.
    redis.call('ZADD', KEYS[2], ends, ARGV[1])
    return { told, ends, epoch }
end

local occupied = redis.call('PUBSUB', 'NUMSUB', ARGV[2])[2] > 0 and 1 or 0
redis.call('ZREM', KEYS[3], ARGV[1])
-- In another life the server may have lost that a channel with subscribers was told to be occupied: when it has none
-- now, that is told rather than nothing.
local forgotten = ARGV[5] ~= '' and ARGV[5] ~= epoch and told == 0
if occupied == told and not forgotten then
    return { -1, '', epoch }
end
if occupied == 1 then
    redis.call('SADD', KEYS[1], ARGV[1])
else
    redis.call('SREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[2], ends, ARGV[1])
return { occupied, ends, epoch }
