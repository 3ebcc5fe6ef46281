-- wrk: the tiles of /given/paths in turn, with the token, and one line of figures in the end
local paths = {}
for line in io.lines("/given/paths") do paths[#paths + 1] = line end
local headers = {["Authorization"] = "Bearer " .. io.open("/given/token"):read("l")}
local position = 0

function request()
  position = position % #paths + 1
  return wrk.format("GET", paths[position], headers)
end

function done(summary)
  local e = summary.errors
  local failed = e.status + e.connect + e.read + e.write + e.timeout
  print(("RESULT %d %d %d"):format(summary.requests, summary.duration, failed))
end
