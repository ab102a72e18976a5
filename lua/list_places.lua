-- Reads one page of a product's places, lapsed ones left out; writes nothing.
--
-- KEYS[1] stayhold:{<product id>}:holds    ZSET    user -> expiry in ms, +inf when confirmed
-- KEYS[2] stayhold:{<product id>}:tokens   HASH    user -> token of his place
-- KEYS[3] stayhold:{<product id>}:bookings HASH    user -> booking id of his confirmed place
-- ARGV[1] cursor: 0 begins
-- ARGV[2] about how many places a page has
--
-- Returns:
--   {cursor, user, token, expiry, booking, ...}  the cursor of the next page (0: this was the last one), then four
--   values for each place; expiry in ms, inf when confirmed; booking id, 0 for a hold. A place may come twice.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local page = redis.call('ZSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local places = {page[1]}
for i = 1, #page[2], 2 do
  local user, expiry = page[2][i], page[2][i + 1]
  local confirmed = expiry == 'inf'
  if confirmed or tonumber(expiry) > now then
    local n = #places
    places[n + 1], places[n + 2], places[n + 3] = user, redis.call('HGET', KEYS[2], user), expiry
    places[n + 4] = confirmed and redis.call('HGET', KEYS[3], user) or '0'
  end
end
return places
