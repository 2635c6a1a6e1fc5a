-- Compares whether a channel has subscribers with what was told of that, and says what to tell.
--
-- KEYS[1] - set of the channels that were told to be occupied
-- KEYS[2] - sorted set of the channels of which something is being told, by the millisecond until which
-- KEYS[3] - sorted set of the channels that a sweep found empty, by the millisecond in which
-- KEYS[4] - hash of the epoch; it also has the one that KEYS[1] is of
-- KEYS[5] - set of the channels that were told to be occupied in the epochs before, as far as the server remembers
-- ARGV[1] - channel
-- ARGV[2] - its name in pub/sub
-- ARGV[3] - 1 when the node that asks has subscribers, whether or not the server knows of them now
-- ARGV[4] - milliseconds that telling may take
-- ARGV[5] - what this script returned as the second value, when that has been told now; or nothing
-- ARGV[6] - what this script returned as the third value when the node that asks had its last look as a subscriber;
--           or nothing, when there was none
--
-- Returns 1 to tell that it is occupied, 0 that it is not, -1 for nothing; until when, as text; and the epoch.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[2], ARGV[1])
local ends = string.format('%.0f', now + ARGV[4])
local epochs = redis.call('HMGET', KEYS[4], 'id', 'occupied')
local epoch = epochs[1] or 'none'

if epochs[1] and epochs[2] ~= epoch then
    -- The server may have been started with old data, or promoted without the newest: all of it is in doubt.
    if epochs[2] and redis.call('EXISTS', KEYS[1]) == 1 and redis.call('RENAMENX', KEYS[1], KEYS[5]) == 0 then
        redis.call('SUNIONSTORE', KEYS[5], KEYS[5], KEYS[1])
        redis.call('DEL', KEYS[1])
    end
    redis.call('HSET', KEYS[4], 'occupied', epoch)
end
local told = redis.call('SISMEMBER', KEYS[1], ARGV[1])
local told_before = told == 0 and redis.call('SISMEMBER', KEYS[5], ARGV[1]) == 1

if lease and string.format('%.0f', lease) == ARGV[5] then
    redis.call('ZREM', KEYS[2], ARGV[1])
elseif lease and tonumber(lease) > now then
    return { -1, '', epoch } -- whoever tells it looks again when it is done
elseif lease then
    -- It was to be told, and perhaps was not.
    if told_before then
        redis.call('SMOVE', KEYS[5], KEYS[1], ARGV[1])
        told = 1
    end
    redis.call('ZADD', KEYS[2], ends, ARGV[1])
    return { told, ends, epoch }
end

local occupied = (ARGV[3] == '1' or redis.call('PUBSUB', 'NUMSUB', ARGV[2])[2] > 0) and 1 or 0
redis.call('ZREM', KEYS[3], ARGV[1])
local doubtful = told == 0 and ARGV[6] ~= '' and ARGV[6] ~= epoch
if told_before then
    redis.call('SREM', KEYS[5], ARGV[1])
    if occupied == 1 and ARGV[6] ~= '' then
        -- There was a subscriber all the time, so it was told to be occupied, and nothing since.
        redis.call('SADD', KEYS[1], ARGV[1])
        return { -1, '', epoch }
    end
    doubtful = true
end
-- In doubt what is true is told, perhaps once more, rather than nothing.
if occupied == told and not doubtful then
    return { -1, '', epoch }
end
if occupied == 1 then
    redis.call('SADD', KEYS[1], ARGV[1])
else
    redis.call('SREM', KEYS[1], ARGV[1])
end
redis.call('ZADD', KEYS[2], ends, ARGV[1])
return { occupied, ends, epoch }
