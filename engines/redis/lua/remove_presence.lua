-- Removes a client from the presence of a channel.
--
-- KEYS[1] - sorted set of clients by the time in milliseconds when their presence expires
-- KEYS[2] - hash of the information about clients
-- ARGV[1] - client
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
