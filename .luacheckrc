-- The scripts run inside Redis: Lua 5.1 with these globals and no others.
std = "lua51"
read_globals = { "redis", "cjson", "KEYS", "ARGV" }
allow_defined = false
max_line_length = 120
