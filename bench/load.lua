-- One kind of request for wrk: `wrk … URL -- METHOD PATH BODY HEADERS TICKETS SEED RATE`.
-- HEADERS: a line each.
-- RATE: requests a second to be asked, 0 for as many as will be answered.

local ffi = require("ffi")
ffi.cdef [[
  struct moment { long seconds, microseconds; };
  int gettimeofday(struct moment *now, void *zone);
]]

local method, path, body, tickets
local headers = { ["Content-Type"] = "application/json" }

-- What stands in braces in path and body, anew for each request.
local made = {
  -- a ticket
  id = function() return math.random(tickets) end,
  -- a ticket with ten comments
  ten = function() return 6 * math.random(math.floor(tickets / 6)) end,
  -- one of them that was there in the middle of all time already; and a moment: yesterday, a year before, or that middle
  early = function() return 6 * math.random(math.floor(tickets / 13)) end,
  ["then"] = function() return ({ "yesterday", "2025-11-26", "2023-07-15" })[math.random(3)] end,
  -- rare{rare} is a word of ten tickets
  rare = function() return math.random(0, math.floor(tickets / 10) - 1) end,
  -- word{n} is a word of two in a hundred, more or less
  n = function() return math.random(1000, 4999) end,
}

local function filled(text)
  return (text:gsub("{(%l+)}", function(name) return made[name]() end))
end

-- Milliseconds, by the clock that wrk goes by.
local function now()
  local moment = ffi.new("struct moment")
  ffi.C.gettimeofday(moment, nil)
  return tonumber(moment.seconds) * 1000 + tonumber(moment.microseconds) / 1000
end

-- Let requests come as people make them, whether or not the one before is answered: the gaps are
-- exponential, whichever connection is free takes the next, to the millisecond, and who is late
-- catches up. A latency begins when its request is sent; only while all connections are busy does
-- anybody wait unseen.
local function pace(rate)
  local due
  function delay()
    due = (due or now()) - math.log(1 - math.random()) * 1000 / rate
    return math.max(0, math.ceil(due) - math.floor(now()))
  end
end

function init(args)
  method, path, body, tickets = args[1], args[2], args[3], tonumber(args[5])
  for name, value in args[4]:gmatch("([^\n]-): ([^\n]*)") do headers[name] = value end
  -- All contestants of a round read the same.
  math.randomseed(tonumber(args[6]))
  local rate = tonumber(args[7])
  if rate > 0 then pace(rate) end
end

function request()
  return wrk.format(method, filled(path), headers, body ~= "" and filled(body) or nil)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("\nRESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
