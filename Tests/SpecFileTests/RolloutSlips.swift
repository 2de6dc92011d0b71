/// What goes wrong in `rollout` and `run.autoscale`, and what is said about it.
extension Slip {
    /// A rollout in place of the sound one. Its first line is line 15 of the file.
    private static func rollout(_ lines: String..., said: [String]) -> Slip {
        var slip = Slip(15, (["rollout:"] + lines.map { "  " + $0 }).joined(separator: "\n") + "\n  # was:")
        slip.said = said
        return slip
    }

    private static func steps(_ steps: String, said: String...) -> Slip {
        rollout("strategy: canary", "steps: \(steps)", said: said)
    }

    private static func gate(_ gate: String, said: String...) -> Slip {
        rollout("before-switch: [\(gate)]", said: said)
    }

    private static func autoscale(_ text: String, said: String...) -> Slip {
        var slip = Slip(13, "  autoscale: \(text)")
        slip.said = said
        return slip
    }

    static let rollouts: [Slip] = strategies + canaries + gates + gateValues + analyses + autoscalers

    private static let strategies: [Slip] = [
        rollout(
            "batch: 25%", "steps: [{weight: 5}]",
            said: [
                "16: batch means nothing with strategy blue-green → write strategy: rolling, or remove batch",
                "17: steps means nothing with strategy blue-green → write strategy: canary, or remove steps",
            ]),
        rollout(
            "strategy: recreate", "min-ready: 1s", "analysis: {baseline: true}", "keep-standby: 1",
            said: [
                "17: min-ready means nothing with strategy recreate → write strategy: rolling, or remove min-ready",
                "18: analysis means nothing with strategy recreate → write strategy: canary, or remove analysis",
                "19: keep-standby is 1; recreate is for what cannot run twice → "
                    + "write keep-standby: 0, or leave it out",
            ]),
        rollout(
            "strategy: roling", "batch: 1",
            said: [
                "16: strategy is \"roling\"; the choices are blue-green, rolling, canary and recreate → "
                    + "write strategy: rolling"
            ]),
        rollout(
            "strategy: rolling", "batch: 120%", "surge: -1", "min-healthy: all", "min-ready: 10",
            said: [
                "17: batch is 120%; 1%…100%, or 1…1000 instances, are allowed → write batch: 25%",
                "18: surge is -1; 0%…100%, or 0…1000 instances, are allowed → write surge: 25%",
                "19: min-healthy is all; 0%…100%, or 0…1000 instances, are allowed → write min-healthy: 100%",
                "20: min-ready is 10; a time is needed → write min-ready: 10s (a whole number and ms, s, m, h or d)",
            ]),
        rollout(
            "strategy: rolling", "batch: 0", "surge: \"1\"", "min-healthy: 2.5%",
            said: [
                "17: batch is 0; 1%…100%, or 1…1000 instances, are allowed → write batch: 25%",
                "18: surge is \"1\"; 0%…100%, or 0…1000 instances, are allowed → write surge: 25%",
                "19: min-healthy is 2.5%; 0%…100%, or 0…1000 instances, are allowed → write min-healthy: 100%",
            ]),
        rollout(
            "rollback-window: 21",
            said: ["16: rollback-window is 21; 0…20 are allowed → write rollback-window: 10"]),
    ]

    private static let canaries: [Slip] = [
        steps(
            "[{weight: 101}, {weight: 5%}]",
            said: "17: weight is 101; 0…100 are allowed → write weight: 5",
            "17: weight is 5%; 0…100 are allowed → write weight: 5, a whole number without quotes"),
        steps(
            "[{wieght: 5}]",
            said:
                "17: \"wieght\" is not a key of an entry of steps → did you mean weight? the keys here are weight, "
                + "instances, analyze, pause, match and gate",
            "17: a step has nothing to do → write one of weight, analyze, pause, match and gate, such as weight: 5"
        ),
        steps(
            "[{weight: 5, analyze: 2m}]",
            said: "17: a step has weight and analyze; one is needed → "
                + "write a step for each: - weight: … and - analyze: …"),
        steps(
            "[{analyze: 2m, instances: 2}]",
            said: "17: instances is without weight → write {weight: 5, instances: 50%}, or remove instances"),
        steps(
            "[{weight: 5, instances: 0}]",
            said: "17: instances is 0; 1%…100%, or 1…1000 instances, are allowed → write instances: 50%"),
        steps(
            "[{analyze: 1s}, {pause: 8d}, {pause: }]",
            said: "17: analyze is 1s; 10s…1d are allowed → write analyze: 2m",
            "17: pause is 8d; 1s…7d are allowed → write pause: 10m",
            "17: pause is empty → write pause: 10m, or {}"),
        steps(
            "[{match: {value: yes}}, {match: {header: \"X Canary\"}}, {match: X-Canary}]",
            said: "17: match has no header → add header: X-Canary",
            "17: header is \"X Canary\"; 1 to 100 of A-Z, a-z, 0-9 and - are needed → write header: X-Canary",
            "17: match is a single value; settings are needed → write match: {header: X-Canary}"),
        steps(
            "[{match: {header: A, value: 'a\"b'}}]",
            said: "17: value is \"a\"b\"; 1 to 256 plain characters without quotes, # and \\ are needed → "
                + "write value: yes"),
        steps(
            "[]",
            said:
                "17: steps is an empty list → write steps: [{weight: 5}, {analyze: 2m}, {weight: 50}, {analyze: 5m}]"
        ),
        steps(
            "weight",
            said: "17: steps is a single value; a list is needed → "
                + "write steps: [{weight: 5}, {analyze: 2m}, {weight: 50}, {analyze: 5m}]"),
        steps(
            "[{analyze: 2m}, {gate: {name: analysis-1, health: 1s}}]",
            said:
                "17: the name analysis-1 belongs to a comparison of the steps → give each gate a name of its own"
        ),
    ]

    private static let gates: [Slip] = [
        gate(
            "{name: a}",
            said:
                "16: a gate has nothing to ask → write one of health, http, command, approval, analysis, webhook "
                + "and query, such as health: 30s"),
        gate(
            "{health: 30s, http: /ready}",
            said: "16: a gate has health and http; one is needed → "
                + "write a gate for each: - health: … and - http: …"),
        gate(
            "{name: a, approval: b}",
            said: "16: an approval is named twice → remove name, or write approval: {}"),
        rollout(
            "before-switch:", "  - {name: a, health: 1s}", "after-switch:", "  - approval: a",
            said: ["19: two gates are called a → give each gate a name of its own"]),
        gate(
            "{name: Smoke Test, health: 1s}",
            said:
                "16: name is \"Smoke Test\"; 1 to 40 of a-z, 0-9 and -, beginning with a letter, are needed → "
                + "write name: smoke-test"),
        gate(
            "{health: 2m, timeout: 60s}",
            said: "16: the gate takes 2m itself; timeout is 1m → write timeout: 3m, or leave it out"),
        gate(
            "{health: 1s, otherwise: continue}",
            said:
                "16: otherwise is \"continue\"; the choices are fail, pass and pause → write otherwise: fail"),
        gate("{health: 1s, timeout: 8d}", said: "16: timeout is 8d; 1s…7d are allowed → write timeout: 60s"),
        gate(
            "{approval: {by: [alice, bob], count: 3}}",
            said: "16: count is 3, and by names 2 keys → write count: 2 or less, or name more keys"),
        gate(
            "{approval: {by: [alice, alice]}}", said: "16: by names alice twice → name each key once"),
        gate(
            "{approval: {count: 2}}",
            said: "16: count is given, but not who has to say yes → "
                + "write by: [alice, bob], or leave count out"),
        gate(
            "{approval: {by: [alice]}, otherwise: pass}",
            said: "16: otherwise is pass: without an answer the gate would open with nobody's approval → "
                + "write otherwise: pause, or leave it out"),
        gate("{approval: {by: []}}", said: "16: by is an empty list → write by: [alice, bob]"),
        gate(
            "{approval: {by: [alice], count: 0}}", said: "16: count is 0; 1…32 are allowed → write count: 1"),
        gate(
            "{approval: {by: [Alice]}}",
            said:
                "16: an entry of by is \"Alice\"; a key's name, 1 to 64 of a-z, 0-9 and . _ - between them, is "
                + "needed → write alice"),
        gate(
            "{approval: {name: b, by: [alice]}, name: a}",
            said: "16: an approval is named twice → remove name, or write approval: {}"),
        gate(
            "{approval: {from: [alice]}}",
            said: "16: \"from\" is not a key of approval → the keys here are name, by and count"),
        gate("{approval: }", said: "16: approval is empty → write approval: smoke-test, or {}"),
    ]

    private static let gateValues: [Slip] = [
        gate(
            "{http: ready}",
            said:
                "16: http is \"ready\"; a path that begins with / is needed, without spaces, quotes, # and \\ → "
                + "write http: /ready"),
        gate(
            "{http: {status: 99, body: \"\"}}",
            said: "16: http has no path → add path: /ready",
            "16: status is 99; 100…599 are allowed → write status: 200",
            "16: body has 0 bytes; 1…1024 are allowed → write body: ok"),
        gate(
            "{command: bin/migrate now}",
            said: "16: command is one text; a list of words is needed → write command: [bin/migrate, now]"),
        gate(
            "{webhook: ci.example}",
            said: "16: webhook is \"ci.example\"; an http:// or https:// address is needed → "
                + "write webhook: https://ci.example/kiln"),
        gate(
            "{webhook: \"https://u:p@ci.example/\"}",
            said: "16: webhook holds a user name or password → "
                + "write webhook: https://ci.example/kiln, and let a proxy of your own add them"),
        gate(
            "{query: {server: \"http://a:9090\", query: up}}",
            said: "16: a query has no bound → add min, max or both: max: 100"),
        gate(
            "{query: {server: \"http://a:9090\", query: up, min: 2, max: 1.5}}",
            said: "16: min 2 is above max 1.5 → write the smaller number as min"),
        gate(
            "{query: {server: \"http://a:9090\", query: up, max: 1.0001}}",
            said: "16: max is 1.0001; a number with at most three decimals is needed → write max: 100"),
        gate(
            "{query: {query: up, max: 1}}",
            said: "16: query has no server → add server: http://127.0.0.1:9090"),
    ]

    private static let analyses: [Slip] = [
        rollout(
            "strategy: canary",
            "analysis: {false-alarms: 1, min-requests: 0, error-tolerance: 0.001%, slowdown-tolerance: 1.5%}",
            said: [
                "17: false-alarms is 1; 0.01%…50% are allowed, with at most 2 decimals → write false-alarms: 1%",
                "17: min-requests is 0; 1…1000000 are allowed → write min-requests: 100",
                "17: error-tolerance is 0.001%; 0%…100% are allowed, with at most 2 decimals → "
                    + "write error-tolerance: 0.1%",
                "17: slowdown-tolerance is 1.5%; 0%…1000% are allowed → write slowdown-tolerance: 10%",
            ]),
        rollout(
            "strategy: canary", "analysis: {false-alarms: 120%, baseline: no}",
            said: [
                "17: false-alarms is 120%; 0.01%…50% are allowed, with at most 2 decimals → write false-alarms: 1%",
                "17: baseline is \"no\"; true or false is needed → write baseline: true",
            ]),
    ]

    private static let autoscalers: [Slip] = [
        autoscale(
            "{min: 4, max: 10, target: {cpu: 60%}}",
            said: "9: replicas is 3; autoscale keeps 4…10 → write replicas: 4, or leave it out"),
        autoscale(
            "{min: 4, max: 2, target: {cpu: 60%}}",
            said: "13: min is 4, max is 2 → write the smaller number as min"),
        autoscale(
            "{min: 1, max: 3, target: {cpu: 120%}}",
            said: "13: cpu is 120%; 1%…100% are allowed → write cpu: 60%"),
        autoscale(
            "{min: 1, max: 3, target: {cpu: 60%, concurrency: 2}}",
            said: "13: target has cpu and concurrency; one is needed → "
                + "write one of requests-per-second: 100, cpu: 60% and concurrency: 10"),
        autoscale(
            "{min: 1, target: {}}",
            said: "13: autoscale has no max → add max: 10",
            "13: target names no load → write one of requests-per-second: 100, cpu: 60% and concurrency: 10"),
    ]
}
