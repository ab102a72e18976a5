-- Takes back a caller's own announcement that it is about to warm a cold gate.
--
-- KEYS[1] stayhold:{<product id>}:warm     STRING  nonce of the caller that is warming
-- ARGV[1] nonce of the caller
--
-- Returns:
--   1  the mark was the caller's and is gone
--   0  there is none, or another caller's mark stands

if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
return 1
