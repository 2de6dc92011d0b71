package import Model

/// Valid values with defaults, so that a test says only what it is about.
package enum Fixtures {
    package static let key = ServiceKey(try! ServiceName("hello"))
    package static let start = Instant(milliseconds: 1_700_000_000_000)
    package static let listener = Listener(address: SocketAddress(host: "127.0.0.1", port: 8000))

    /// A digest that differs for every `number`, in its first twelve digits already.
    package static func digest(_ number: Int) -> Digest {
        let digits = String(number, radix: 16)
        let front = String(repeating: "0", count: 12 - digits.count) + digits
        return try! Digest(hex: front + String(repeating: "0", count: 52))
    }

    package static func spec(run: RunSettings? = nil, rollout: RolloutSettings = RolloutSettings()) -> Spec {
        Spec(
            service: key.service,
            image: Recipe(
                distribution: try! Recipe.Distribution(parsing: "debian/bookworm"),
                packages: [try! Recipe.PackageRequest(parsing: "nginx-light")],
                command: ["nginx", "-g", "daemon off;"]),
            run: run ?? RunSettings(port: 8080, health: HealthCheck(.http(path: "/"))), rollout: rollout,
            listen: listener)
    }

    package static func release(
        _ number: Int, replicas: Int = 2, port: Int = 8080,
        health: HealthCheck = HealthCheck(.http(path: "/")),
        drain: Span = .seconds(10), watch: Span = .seconds(5), deadline: Span = .seconds(60),
        keepStandby: Int = 1, listen: Listener? = listener
    ) -> Release {
        Release(
            key: key, number: ReleaseNumber(number),
            content: Release.Content(
                image: digest(number),
                run: RunSettings(replicas: replicas, port: port, health: health),
                rollout: RolloutSettings(
                    drain: drain, watch: watch, deadline: deadline, keepStandby: keepStandby),
                listen: listen),
            digest: digest(1_000_000 + number), createdAt: start, by: "uid:0", message: "release \(number)")
    }

    /// The state of a settled service: the last of `good` serves.
    package static func state(good: [Int] = [], standbys: [Int] = [], replicas: Int? = nil) -> ServiceState {
        var state = ServiceState(key: key)
        state.good = good.map { ReleaseNumber($0) }
        state.current = state.good.last
        state.standbys = standbys.map { ReleaseNumber($0) }
        state.releasesMade = good.max() ?? 0
        state.replicas = replicas
        return state
    }
}
