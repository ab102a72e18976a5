-- Brings places in line with the database, for users whose reconcile mark is still the caller's.
--
-- KEYS[1] stayhold:{<product id>}:product  HASH    the product's facts; missing: the gate is cold
-- KEYS[2] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[3] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[4] stayhold:{<product id>}:marks    HASH    user -> reconcile nonce
-- KEYS[5] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] nonce of the caller
-- ARGV[2...] the corrections, four arguments each: user id, kind, token, and a detail.
--         Kinds: 'confirm' writes a confirmed place (detail: booking id); 'remove' empties one that is confirmed
--         under the token; 'hold' fills an empty place while a unit is free and the deadline (detail, ms) is ahead.
--
-- Returns:
--   {user, ...}  those whose place changed, some perhaps twice; none on a cold gate

local stock = tonumber(redis.call('HGET', KEYS[1], 'stock'))
local changed = {}
if not stock then return changed end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function write(user, token, expiry)
  redis.call('ZADD', KEYS[2], expiry, user)
  redis.call('HSET', KEYS[3], user, token)
  return true
end

local function correct(user, kind, token, detail)
  if redis.call('HGET', KEYS[4], user) ~= ARGV[1] then return false end
  local expiry = redis.call('ZSCORE', KEYS[2], user)
  local settled = expiry == 'inf' and redis.call('HGET', KEYS[3], user) == token
  if kind == 'confirm' then
    if settled then return false end
    redis.call('HSET', KEYS[5], user, detail)
    return write(user, token, '+inf')
  elseif kind == 'remove' then
    if not settled then return false end
    redis.call('ZREM', KEYS[2], user)
    redis.call('HDEL', KEYS[3], user)
    redis.call('HDEL', KEYS[5], user)
    return true
  end
  local empty = not expiry or (expiry ~= 'inf' and tonumber(expiry) <= now)
  if not empty or tonumber(detail) <= now then return false end
  return redis.call('ZCOUNT', KEYS[2], '(' .. now, '+inf') < stock and write(user, token, detail)
end

local first = 2
while ARGV[first] do
  if correct(ARGV[first], ARGV[first + 1], ARGV[first + 2], ARGV[first + 3]) then
    changed[#changed + 1] = ARGV[first]
  end
  first = first + 4
end
if #changed > 0 then redis.call('HDEL', KEYS[1], 'full_until') end
return changed
