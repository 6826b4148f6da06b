-- Gives an attempt its locks, all or none.
-- KEYS  four a lock: the lock, its record, its shared holders, its queue
-- ARGV  1 owner  2 lease ms  3 record ms  4 slots: -1 exclusive, 0 any number, else so many
--       5 how long a place in the queue lasts in ms, 0 without a queue  6 the least fence
--       7 for how many seconds the server must be up, 0 for whatever it is  8 how the holder describes itself
-- Gives {1 granted | 0 held | -1 buried | -2 not up for long enough | -3 no greater fence is left, fence, ms until it
-- lapses or -1}.
--
-- A record is a sorted set: `fence` by the greatest fence in microseconds, buried owners and `q:` places in the queue by
-- the millisecond in which they lapse, and `@` holders as they describe themselves, by the microsecond of their grant.
-- Milliseconds are far below any fence, so what has lapsed goes by score.
local owner, lease, keep = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local slots, place, floor = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local ms = math.floor(us / 1000)
local function text(number) return string.format('%.0f', number) end

if tonumber(ARGV[7]) > 0 then
  local up = string.match(redis.call('INFO', 'server'), 'uptime_in_seconds:(%d+)')
  if tonumber(up) < tonumber(ARGV[7]) then return {-2, '0', -1} end
end

local function first_in_queue(record, queue)
  for _ = 1, 64 do
    local head = redis.call('ZRANGE', queue, 0, 0)[1]
    if not head or head == owner then return head end
    local alive = redis.call('ZSCORE', record, 'q:' .. head)
    if alive and tonumber(alive) > ms then return head end
    redis.call('ZREM', queue, head)
    redis.call('ZREM', record, 'q:' .. head)
  end
  return ''
end

local all_own, all_free, lapses, fence = true, true, -1, 0
for i = 1, #KEYS, 4 do
  local lock, record, shared, queue = KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3]
  local buried = redis.call('ZSCORE', record, owner)
  if buried and tonumber(buried) > ms then return {-1, '0', -1} end
  fence = math.max(fence, tonumber(redis.call('ZSCORE', record, 'fence') or 0))
  redis.call('ZREMRANGEBYSCORE', shared, '-inf', ms)
  local holder = redis.call('GET', lock)
  local own
  if slots < 0 then own = holder == owner else own = redis.call('ZSCORE', shared, owner) and true or false end
  if not own then
    all_own = false
    local sharers = redis.call('ZCARD', shared)
    local free = not holder
    if slots < 0 then free = free and sharers == 0 elseif slots > 0 then free = free and sharers < slots end
    local head = first_in_queue(record, queue)
    if head and head ~= owner then free = false end
    if not free then
      all_free = false
      local left = -1
      if holder then
        left = redis.call('PTTL', lock)
      elseif sharers > 0 then
        left = tonumber(redis.call('ZRANGE', shared, 0, 0, 'WITHSCORES')[2]) - ms
      end
      lapses = math.max(lapses, left)
    end
  end
end

if not all_own and not all_free then
  if place > 0 then
    for i = 1, #KEYS, 4 do
      local record, queue = KEYS[i + 1], KEYS[i + 3]
      if not redis.call('ZSCORE', queue, owner) then
        local last = redis.call('ZRANGE', queue, -1, -1, 'WITHSCORES')[2]
        redis.call('ZADD', queue, text(math.max(us, tonumber(last or 0) + 1)), owner)
      end
      redis.call('ZADD', record, text(ms + place), 'q:' .. owner)
      redis.call('PEXPIRE', queue, keep)
      redis.call('PEXPIRE', record, keep)
    end
  end
  return {0, '0', lapses}
end

if not all_own then
  fence = math.max(fence + 1, us, floor)
  -- From 2^53 on, a number and the next one are the same.
  if fence > 9007199254740991 then return {-3, '0', -1} end
end
-- What holders that are gone have left behind.
local function forget_holders(record, shared)
  for _, told in ipairs(redis.call('ZRANGEBYSCORE', record, text(ms * 100), '+inf')) do
    local holder = string.match(told, '^@(%S+) ')
    if holder and holder ~= owner and not (slots >= 0 and redis.call('ZSCORE', shared, holder)) then
      redis.call('ZREM', record, told)
    end
  end
end

for i = 1, #KEYS, 4 do
  local lock, record, shared, queue = KEYS[i], KEYS[i + 1], KEYS[i + 2], KEYS[i + 3]
  redis.call('ZREMRANGEBYSCORE', record, '-inf', ms)
  forget_holders(record, shared)
  redis.call('ZADD', record, 'NX', text(us), '@' .. owner .. ' ' .. ARGV[8])
  redis.call('ZADD', record, text(fence), 'fence')
  redis.call('ZREM', record, 'q:' .. owner)
  redis.call('PEXPIRE', record, math.max(keep, redis.call('PTTL', record)))
  redis.call('ZREM', queue, owner)
  if slots < 0 then
    redis.call('SET', lock, owner, 'PX', lease)
  else
    redis.call('ZADD', shared, text(ms + lease), owner)
    redis.call('PEXPIRE', shared, math.max(lease, redis.call('PTTL', shared)))
    local head = redis.call('ZRANGE', queue, 0, 0)[1]
    if head then redis.call('PUBLISH', record, head) end
  end
end
return {1, text(fence), lease}
