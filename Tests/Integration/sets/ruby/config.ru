require "json"

run lambda { |request|
  body = request["PATH_INFO"] == "/health" ? "ok\n" : JSON.generate({ "six times seven" => 6 * 7 })
  [200, { "content-type" => "application/json" }, [body]]
}
