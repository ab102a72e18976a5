-- Reads the places of some users, lapsed ones left out; writes nothing.
--
-- KEYS[1] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[2] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[3] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1...] the user ids
--
-- Returns:
--   {user, token, expiry, booking, ...}  four values for each user who has a place; expiry in ms, inf when confirmed;
--   booking id, 0 for a hold

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local places = {}
local first = 1
while ARGV[first] do
  local user = ARGV[first]
  local expiry = redis.call('ZSCORE', KEYS[1], user)
  local confirmed = expiry == 'inf'
  if confirmed or (expiry and tonumber(expiry) > now) then
    local n = #places
    places[n + 1], places[n + 2], places[n + 3] = user, redis.call('HGET', KEYS[2], user), expiry
    places[n + 4] = confirmed and redis.call('HGET', KEYS[3], user) or '0'
  end
  first = first + 1
end
return places
