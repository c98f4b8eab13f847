-- One kind of request for wrk: `wrk … URL -- METHOD PATH BODY HEADER TICKETS SEED`.
-- In path and body, {id} is a random ticket, {n} a random number from 1000 to 4999.

local method, path, body, tickets
local headers = { ["Content-Type"] = "application/json" }

local function filled(text)
  local made = text:gsub("{id}", function() return math.random(tickets) end)
  return (made:gsub("{n}", function() return math.random(1000, 4999) end))
end

function init(args)
  method, path, body, tickets = args[1], args[2], args[3], tonumber(args[5])
  local name, value = args[4]:match("(.-): (.*)")
  if name then headers[name] = value end
  -- All contestants of a round read the same.
  math.randomseed(tonumber(args[6]))
end

function request()
  return wrk.format(method, filled(path), headers, body ~= "" and filled(body) or nil)
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format("\nRESULT %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
