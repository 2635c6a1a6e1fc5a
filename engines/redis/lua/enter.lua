-- Begins a new epoch if the data was written by another server, or before a restart or promotion of this server.
--
-- A server that was restarted or promoted may lack the newest data that its predecessor had accepted.
--
-- KEYS[1] - hash of the epoch
-- ARGV[1] - run id and replication id of this server
if redis.call('HGET', KEYS[1], 'server') ~= ARGV[1] then
    local time = redis.call('TIME')
    redis.call('HSET', KEYS[1], 'server', ARGV[1], 'id', string.format('%010d%06d', time[1], time[2]))
end
return redis.call('HGET', KEYS[1], 'id')
