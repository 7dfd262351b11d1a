-- POSTs OCSP requests. wrk … -s wrk.lua -- PATH HEX OFFSET: the request's DER in hexadecimal, and where its nonce's 16
-- octets begin (0 for no nonce), which are then random in each.
local path, request_der, at, head

function init(args)
  path = args[1]
  request_der = args[2]:gsub("%x%x", function(octet) return string.char(tonumber(octet, 16)) end)
  at = tonumber(args[3])
  math.randomseed(os.time() + tonumber(tostring({}):sub(8), 16) % 1000000)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/ocsp-request"
end

function request()
  local body = request_der
  if at > 0 then
    local nonce = {}
    for i = 1, 16 do nonce[i] = string.char(math.random(0, 255)) end
    body = body:sub(1, at) .. table.concat(nonce) .. body:sub(at + 17)
  end
  return wrk.format("POST", path, nil, body)
end

-- A refusal is an answer of five octets; they must not count as work.
local threads = {}
function setup(thread) table.insert(threads, thread) end
refused = 0
function response(status, headers, body)
  if status ~= 200 or #body < 100 then refused = refused + 1 end
end

function done(summary, latency)
  local refused = 0
  for _, thread in ipairs(threads) do refused = refused + thread:get("refused") end
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
  io.write(string.format('{"refused": %d, "errors": %d}\n', refused, failed))
end
