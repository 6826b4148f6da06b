-- Takes tokens of several limits, of all of them or of none. The generic cell rate algorithm by the server's clock.
-- KEYS  one a limit, then the set of processes
-- ARGV  1 want  2 least  3 process  4 how long a process counts as active in ms, then rate and burst of each limit
-- Gives {granted, microseconds until the least can be had, or -1 for never, active processes}. A refusal takes nothing and
-- writes only what forgets debt beyond one empty bucket: a lower rate or a clock that was ahead has left it.
local want, least = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local limits = #KEYS - 1
local granted, wait = want, 0
local full = {}
for i = 1, limits do
  local step = 1000000 / tonumber(ARGV[3 + 2 * i])
  local burst = tonumber(ARGV[4 + 2 * i])
  local horizon = now + burst * step
  local kept = tonumber(redis.call('GET', KEYS[i]) or now) or now
  local at = math.min(math.max(kept, now), horizon)
  local available = math.floor((horizon - at) / step + 0.000001)
  if available < least then
    granted = 0
    if least > burst then wait = -1 end
    if wait >= 0 then wait = math.max(wait, math.ceil(at + least * step - horizon)) end
  elseif available < granted then
    granted = available
  end
  full[i] = {at, step, kept > horizon}
end
local function keep(i, at)
  redis.call('SET', KEYS[i], string.format('%.3f', at), 'PX', math.ceil((at - now) / 1000) + 1)
end
local processes, ms = KEYS[#KEYS], math.floor(now / 1000)
local active
-- Of processes, scores ahead of the clock are from before it was set back.
redis.call('ZREMRANGEBYSCORE', processes, '(' .. string.format('%.0f', ms), '+inf')
if granted > 0 then
  for i = 1, limits do keep(i, full[i][1] + granted * full[i][2]) end
  redis.call('ZREMRANGEBYSCORE', processes, '-inf', ms - tonumber(ARGV[4]))
  redis.call('ZADD', processes, string.format('%.0f', ms), ARGV[3])
  redis.call('PEXPIRE', processes, ARGV[4])
  active = redis.call('ZCARD', processes)
else
  for i = 1, limits do
    if full[i][3] then keep(i, full[i][1]) end
  end
  active = redis.call('ZCOUNT', processes, ms - tonumber(ARGV[4]), '+inf')
end
return {granted, wait, active}
