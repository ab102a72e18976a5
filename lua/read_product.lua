-- Reads a product's facts and how many of its units are taken; writes nothing.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
--
-- Returns:
--   {'COLD'}  nothing is known of the product
--   {'WARM', version, stock, sale start (ms), check-in (ms), active (1 or 0), live holds, confirmed}

local facts = redis.call('HMGET', KEYS[1], 'version', 'stock', 'sale_start_ms', 'check_in_ms', 'active')
if not facts[1] then return {'COLD'} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf')
local confirmed = redis.call('ZCOUNT', KEYS[2], '+inf', '+inf')
return {'WARM', facts[1], facts[2], facts[3], facts[4], facts[5], taken - confirmed, confirmed}
