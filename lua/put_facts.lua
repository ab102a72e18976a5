-- Writes a product's facts, if they are newer than what the gate knows.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- ARGV[1] version of the facts, not negative
-- ARGV[2] stock, units
-- ARGV[3] sale start, ms
-- ARGV[4] check-in, ms
-- ARGV[5] active: 1 or 0
--
-- Returns:
--   1  written
--   0  the gate is cold and stays so, or knows this version or a newer one

local known = redis.call('HGET', KEYS[1], 'version')
if not known then return 0 end
-- Compared as digits: a number loses the last ones beyond 2^53.
if #known > #ARGV[1] or (#known == #ARGV[1] and known >= ARGV[1]) then return 0 end

redis.call('HSET', KEYS[1], 'version', ARGV[1], 'stock', ARGV[2],
  'sale_start_ms', ARGV[3], 'check_in_ms', ARGV[4], 'active', ARGV[5])
redis.call('HDEL', KEYS[1], 'full_until')
return 1
