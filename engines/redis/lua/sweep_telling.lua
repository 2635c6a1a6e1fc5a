-- Finds channels of which something was to be told, and was not in time: one step of going through all.
--
-- KEYS[1] - sorted set of the channels of which something is being told, by the millisecond until which
-- ARGV[1] - where to go on: 0 at first, then what this script returned
-- ARGV[2] - how many channels to look at, about
--
-- Returns where to go on, which is 0 at the end, and the channels.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local step = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local found = { step[1] }
for index = 1, #step[2], 2 do
    if tonumber(step[2][index + 1]) <= now then
        table.insert(found, step[2][index])
    end
end
return found
