-- Gives back what is an attempt's own, and its places in the queues; wakes whoever is next.
-- KEYS  four a lock: the lock, its record, its shared holders, its queue
-- ARGV  1 owner  2 lease ms  3 record ms  4 how long the attempt is buried in ms, 0 for not at all
--       5 how long a lock that one holds stays taken in ms, 0 to free it at once  6 how the holder describes itself
-- Gives 1 released | 0 nobody had it | -1 somebody else has it.
local owner, keep, bury, hold = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local found = 0
for i = 1, #KEYS, 4 do
  local lock, record, shared, queue = KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3]
  if bury > 0 then
    redis.call('ZREMRANGEBYSCORE', record, '-inf', ms)
    redis.call('ZADD', record, string.format('%.0f', ms + bury), owner)
    redis.call('PEXPIRE', record, math.max(keep, redis.call('PTTL', record)))
  end
  redis.call('ZREM', record, 'q:' .. owner)
  local was_first = redis.call('ZRANGE', queue, 0, 0)[1] == owner
  redis.call('ZREM', queue, owner)
  local holder = redis.call('GET', lock)
  local freed, held_on = false, false
  if holder == owner and hold > 0 then
    redis.call('PEXPIRE', lock, hold)
    held_on = true
  elseif holder == owner then
    redis.call('DEL', lock)
    freed = true
  else
    local lapses = redis.call('ZSCORE', shared, owner)
    if lapses then
      redis.call('ZREM', shared, owner)
      freed = tonumber(lapses) > ms
    end
  end
  if not held_on then redis.call('ZREM', record, '@' .. owner .. ' ' .. ARGV[6]) end
  if freed or held_on then
    found = 1
  elseif found == 0 and (holder or redis.call('ZCOUNT', shared, '(' .. ms, '+inf') > 0) then
    found = -1
  end
  if freed or was_first then
    redis.call('PUBLISH', record, redis.call('ZRANGE', queue, 0, 0)[1] or '')
  end
end
return found
