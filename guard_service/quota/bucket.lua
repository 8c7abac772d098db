-- budget.py's rule in one step. ARGV: both limits a minute, both costs, whether it may be refused.
-- Answers with the seconds to wait for each limit; 0 and 0: charged. The clock is Redis' own.
local clock = redis.call('TIME')
local now = clock[1] + clock[2] / 1e6
local kept = redis.call('HMGET', KEYS[1], 'requests', 'tokens', 'at')
local passed = math.max(now - (tonumber(kept[3]) or now), 0)
local used, waits, is_refused, empty_s = {}, {}, false, 0

for i = 1, 2 do
  local limit, cost = tonumber(ARGV[i]), tonumber(ARGV[i + 2])
  local left = math.max((tonumber(kept[i]) or 0) - limit * passed / 60, 0)
  used[i] = math.max(left + cost, 0)
  local over_s = 0
  if limit > 0 then
    over_s = math.max(used[i] - limit, 0) * 60 / limit
    empty_s = math.max(empty_s, used[i] * 60 / limit)
  end
  waits[i] = ARGV[5] == '1' and over_s or 0
  is_refused = is_refused or waits[i] > 0
end

if not is_refused then
  redis.call('HSET', KEYS[1], 'requests', used[1], 'tokens', used[2],
    'at', string.format('%.6f', now))
  redis.call('EXPIRE', KEYS[1], math.ceil(empty_s) + 60)
end
return {tostring(waits[1]), tostring(waits[2])}
