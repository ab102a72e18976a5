-- Empties a user's place, held or confirmed, if its token is the caller's.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- KEYS[5] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming
-- KEYS[6] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] user id
-- ARGV[2] token of the place
--
-- Returns:
--   'COLD'     nothing is known of the product; a warming that began earlier is void
--   'NOTHING'  the place is empty or another token's
--   'OK'       the place is empty now

local user, token = ARGV[1], ARGV[2]
redis.call('HDEL', KEYS[4], user)

if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[5])
  return 'COLD'
end
if redis.call('HGET', KEYS[3], user) ~= token then return 'NOTHING' end

redis.call('ZREM', KEYS[2], user)
redis.call('HDEL', KEYS[3], user)
redis.call('HDEL', KEYS[6], user)
redis.call('HDEL', KEYS[1], 'full_until')
return 'OK'
