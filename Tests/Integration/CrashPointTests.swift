import Baking
import Execution
import Foundation
import HostPlatform
import Logging
import Model
import Storage
import TestKit
import Testing

/// The daemon dies before every single effect of a rollout, on the real host and under load, and another takes over.
extension OnThisHost {
    @Suite struct CrashPointTests {
        private static let key = ServiceKey(try! ServiceName("hello"))
        /// More effects than any rollout here has; reaching it would mean that a rollout does not end.
        private static let mostPoints = 200

        @Test(.serialized, arguments: ["blue-green", "rolling", "canary"])
        func `wherever the daemon dies, one release serves whole, nothing is orphaned, no request fails`(
            strategy: String
        ) async throws {
            let site = try Site()
            let contents = [try content("v1", site, strategy), try content("v2", site, strategy)]
            try await live(site, Mortality()) { controller in
                _ = try await deploy(contents[0], controller)
                try await settled(controller)
            }
            let load = try Load(port: site.port)
            var recovered = 0
            for point in 1...Self.mostPoints {
                let life = Mortality(effects: point)
                let next = contents[point % 2]
                do {
                    try await live(site, life) { controller in
                        _ = try await deploy(next, controller)
                        try await settled(controller, orDead: life)
                    }
                } catch { guard life.isDead else { throw error } }
                guard life.isDead else { break }
                try await live(site, Mortality()) { controller in
                    try await settled(controller)
                    #expect(try await orphans(site, controller) == [], "after effect \(point)")
                }
                recovered += 1
            }
            let requests = try load.end()
            print(
                "\(strategy): crash points \(recovered)/\(recovered) recovered, orphans 0, "
                    + "failed requests \(requests.failed) of \(requests.all)")
            #expect(
                recovered > 10 && recovered < Self.mostPoints && requests.failed == 0 && requests.all > 1000)
            try await live(site, Mortality()) { await $0.retireAll() }
            // What a daemon does when it ends and nothing runs.
            try await host(site).tearDown()
            #expect(site.leftovers().isEmpty)
        }

        private func content(_ name: String, _ site: Site, _ strategy: String) throws -> Release.Content {
            let result = try KilnProgram.run(
                ["bake", "--file", "\(site.folder)/\(name)/kiln.yaml", "--root", site.root])
            let text = result.output.prefix { $0 != " " }.split(separator: ":").last ?? ""
            var rollout = RolloutSettings(
                drain: .seconds(2), watch: .milliseconds(100), deadline: .seconds(30), keepStandby: 0)
            if strategy == "blue-green" {
                rollout.beforeSwitch = [Gate("configuration", .command(["nginx", "-t"]))]
            }
            rollout.strategy =
                switch strategy {
                case "rolling":
                    .rolling(
                        RollingSettings(batch: .count(1), surge: .count(1), minReady: .milliseconds(50)))
                case "canary":
                    .canary([
                        .weight(20, instances: .count(1)), .pause(.milliseconds(50)),
                        .match(HeaderMatch(header: "X-Canary")), .weight(50, instances: .count(1)),
                    ])
                default: .blueGreen
                }
            return Release.Content(
                image: try Digest(hex: String(text)),
                run: RunSettings(
                    replicas: 2, port: 8080,
                    health: HealthCheck(
                        .http(path: "/"), interval: .milliseconds(200), timeout: .seconds(20), healthyAfter: 1
                    ),
                    scratch: ["/tmp", "/run", "/var/lib/nginx", "/var/log/nginx"].map {
                        ScratchMount(path: $0)
                    },
                    stopGrace: .seconds(2)),
                rollout: rollout,
                listen: Listener(address: SocketAddress(host: "127.0.0.1", port: site.port)))
        }

        /// A daemon in this process, over the site's root, for as long as `body` runs.
        private func live(
            _ site: Site, _ life: Mortality, _ body: @Sendable @escaping (Controller) async throws -> Void
        ) async throws {
            let platform = try await host(site)
            let router = HAProxyRouter(root: try HostRoot(site.root), watch: platform.watch)
            let database = try Database(site.root + "/kiln.db")
            let controller = Controller(
                World(
                    platform: MortalPlatform(base: platform, life: life),
                    router: MortalRouter(base: router, life: life),
                    gates: AgreeableGates(), admission: OpenAdmission(), ledger: MemoryLedger(),
                    store: MortalStore(base: database, life: life),
                    clock: SystemClock(), logger: logger))
            try await controller.recover()
            try await withThrowingTaskGroup(of: Bool.self) { group in
                group.addTask {
                    await controller.run()
                    return false
                }
                group.addTask {
                    try await body(controller)
                    return true
                }
                defer { group.cancelAll() }
                while let isDone = try await group.next(), !isDone {}
            }
        }

        private var logger: Logger {
            var logger = Logger(label: "crash")
            logger.logLevel = .critical
            return logger
        }

        private func host(_ site: Site) async throws -> HostPlatform {
            let reader = LayeredImageReader(store: try ContentStore(site.root + "/store"))
            return try await HostPlatform(root: HostRoot(site.root), reader: reader, log: logger)
        }

        private func deploy(_ content: Release.Content, _ controller: Controller) async throws {
            _ = try await controller.deploy(
                content, as: Self.key, message: "", by: "test", force: true, queue: false)
        }

        /// Looks for up to five minutes.
        private func settled(_ controller: Controller, orDead life: Mortality? = nil) async throws {
            for _ in 1...15_000 {
                if life?.isDead == true { return }
                if let snapshot = try? await controller.snapshot(of: Self.key), snapshot.isWhole { return }
                try await Task.sleep(for: .milliseconds(20))
            }
            let snapshot = try await controller.snapshot(of: Self.key)
            throw Failure(
                .timedOut, "it never settled: \(snapshot.state), \(snapshot.seen)")
        }

        /// What exists and should not.
        private func orphans(_ site: Site, _ controller: Controller) async throws -> [String] {
            let snapshot = try await controller.snapshot(of: Self.key)
            let known = Set(snapshot.seen.instances.keys.map(\.text))
            let folders = try FileManager.default.contentsOfDirectory(atPath: site.root + "/instances")
            let servers = snapshot.seen.router.routes[Self.key]?.servers.keys.map(\.text) ?? []
            return (folders + servers).filter { !known.contains($0) }
        }
    }
}

extension ServiceSnapshot {
    /// No rollout is under way, and exactly as many instances as should be run and serve.
    var isWhole: Bool {
        guard state.rollout == nil, let current = state.current,
            let servers = seen.router.routes[state.key]?.servers
        else { return false }
        let serving = servers.filter { $0.value.state.isServing && $0.value.health == .healthy }
        return serving.count == 2 && servers.count == 2 && seen.instances.count == 2
            && seen.instances.values.allSatisfy { $0.release == current && $0.phase == .running }
    }
}
