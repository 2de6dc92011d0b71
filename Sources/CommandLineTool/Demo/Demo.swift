internal import ArgumentParser
internal import Baking
internal import Foundation
internal import Model
internal import Ports
internal import SpecFile
internal import WireAPI

struct Demo: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the main job for real, under load, and print what it took.",
        discussion: """
            Bakes a site twice, deploys v1, puts load on it, deploys v2, kills an instance, rolls back. Uses a
            daemon and a folder of its own, and leaves nothing behind.

            Examples:
              sudo kiln demo
              sudo kiln demo --output json
            """)

    @Option(help: "Folder with the examples hello and hello-v2.", completion: .directory)
    var examples: String = "examples"
    @OptionGroup var output: OutputOptions

    func run() async throws {
        guard geteuid() == 0 else {
            throw Failure(
                .notPermitted, "the demo starts a daemon, which needs root", suggestion: "sudo kiln demo")
        }
        let folder = "/tmp/kiln-demo-\(getpid())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let daemon = try await DemoDaemon.start(root: folder)
        let result: Result<DemoReport, any Error>
        do {
            result = .success(try await DemoRun(demo: self, folder: folder, daemon: daemon).run())
        } catch { result = .failure(error) }
        try await daemon.stop()
        let report = try result.get()
        switch output.output {
        case .json: try Screen.answer(report)
        case .text: Screen.answer("\n" + report.table)
        }
        if report.failed > 0 { throw ExitCode(1) }
    }
}

/// One run of the demo.
struct DemoRun {
    let demo: Demo
    let folder: String
    let daemon: DemoDaemon

    static let pause = Duration.milliseconds(10)
    static let longestWait = 3000
    /// Load before and after each act, so that its effect shows.
    static let breath = Duration.seconds(1)

    func run() async throws -> DemoReport {
        var report = DemoReport()
        let port = try freePort()
        let first = try session("hello", port: port)
        let second = try session("hello-v2", port: port)

        tell("locking and fetching the packages")
        let lock = try await first.makeLock()
        _ = try await second.makeLock()
        try await PackageFetcher(store: first.store, sources: AptSources.resolve(first.spec.image)).fetch(
            lock, progress: BakeSession.show)
        tell("baking v1 and v2")
        let v1: Digest
        (v1, report.bakeColdSeconds) = try await bake(first)
        let v2: Digest
        (v2, report.bakeWarmSeconds) = try await bake(second)
        (_, report.bakeUnchangedSeconds) = try await bake(second)

        let client = DaemonClient(socket: daemon.socket)
        try await deployAndMeasure(
            try first.spec.release(of: v1, in: first.folder),
            try second.spec.release(of: v2, in: second.folder), port, client, &report)
        return report
    }

    private func deployAndMeasure(
        _ v1: Release.Content, _ v2: Release.Content, _ port: Int, _ client: DaemonClient,
        _ report: inout DemoReport
    ) async throws {
        let key = ServiceKey(try ServiceName("hello"))
        tell("deploying v1")
        let launches = try await deploy(v1, key, client)
        tell("load on, deploying v2")
        let load = LoadGenerator(host: "127.0.0.1", port: port)
        load.start()
        let samples: [LoadGenerator.Sample]
        let switched: Instant
        let rolledBack: Instant
        do {
            try await Task.sleep(for: DemoRun.breath)
            let events = try await deploy(v2, key, client)
            switched = moment(.allHealthy, events)
            report.launchMilliseconds = median(
                (launches + events).compactMap { $0.note.details["afterMilliseconds"].flatMap { Int($0) } })
            tell("killing one instance")
            report.replaceMilliseconds = try await killOne(key, client)
            try await Task.sleep(for: DemoRun.breath)
            tell("rolling back")
            let answer: RolloutAnswer = try await client.post(
                WirePath.rollback(key), RollbackRequest(to: nil))
            let (rollout, rollback) = try await follower(key, client).follow(answer)
            try follower(key, client).requireSuccess(rollout, rollback)
            rolledBack = moment(.rolloutBegan, rollback)
            try await Task.sleep(for: DemoRun.breath)
            samples = try await load.stop()
        } catch {
            _ = try await load.stop()
            throw error
        }
        report.requests = samples.count
        report.failed = samples.count(where: \.isFailed)
        report.problems = Array(Set(samples.compactMap(\.problem)).sorted().prefix(5))
        report.switchMilliseconds = lag(samples.filter { $0.startedAt < rolledBack }, "1", after: switched)
        report.rollbackMilliseconds = lag(samples, "2", after: rolledBack)
    }

    /// How long after `moment` the last request began that the old version answered.
    private func lag(_ samples: [LoadGenerator.Sample], _ version: String, after moment: Instant) -> Int {
        max(0, ((samples.last { $0.version == version }?.startedAt ?? moment) - moment).milliseconds)
    }

    private func deploy(
        _ content: Release.Content, _ key: ServiceKey, _ client: DaemonClient
    ) async throws -> [Event] {
        let request = DeployRequest(content: content, message: "demo", force: false)
        let answer: RolloutAnswer = try await client.post(WirePath.deploy(key), request)
        let (rollout, events) = try await follower(key, client).follow(answer)
        try follower(key, client).requireSuccess(rollout, events)
        return events
    }

    private func follower(_ key: ServiceKey, _ client: DaemonClient) -> RolloutFollower {
        RolloutFollower(client: client, key: key, isQuiet: demo.output.output == .json)
    }

    private func moment(_ kind: Note.Kind, _ events: [Event]) -> Instant {
        events.first { $0.note.kind == kind }!.at
    }

    /// Kills an instance as a fault would, and waits until another one serves in its place.
    private func killOne(_ key: ServiceKey, _ client: DaemonClient) async throws -> Int {
        let before: ServiceStatus = try await client.get(WirePath.service(key))
        guard let victim = before.instances.first(where: { $0.weight > 0 }), let process = victim.processID
        else {
            throw Failure(.internalError, "no serving instance has a process to kill")
        }
        let begin = Date()
        kill(Int32(process), SIGKILL)
        for _ in 1...DemoRun.longestWait {
            let now: ServiceStatus = try await client.get(WirePath.service(key))
            let serving = now.instances.filter {
                $0.weight > 0 && $0.health == .healthy && $0.id != victim.id
            }
            if serving.count >= before.replicas { return Int(Date().timeIntervalSince(begin) * 1000) }
            try await Task.sleep(for: DemoRun.pause)
        }
        throw Failure(.timedOut, "\(victim.id) was not replaced")
    }

    private func bake(_ session: BakeSession) async throws -> (Digest, Double) {
        let begin = Date()
        let digest = try await session.bake().image.digest
        return (digest, Date().timeIntervalSince(begin))
    }

    private func session(_ example: String, port: Int) throws -> BakeSession {
        let source = "\(demo.examples)/\(example)"
        guard FileManager.default.fileExists(atPath: source + "/kiln.yaml") else {
            throw Failure(
                .fileMissing, "there is no such example", at: source,
                suggestion: "name the folder that has it with --examples")
        }
        let copy = "\(folder)/\(example)"
        try FileManager.default.copyItem(atPath: source, toPath: copy)
        let text = try String(contentsOfFile: copy + "/kiln.yaml", encoding: .utf8)
        var spec = try SpecFile.parse(text, file: source + "/kiln.yaml")
        spec.listen = Listener(address: SocketAddress(host: "127.0.0.1", port: port))
        let root = try RootOptions.parse(["--root", folder])
        return BakeSession(
            reading: SpecReading(spec, in: copy), spec: spec, lockPath: copy + "/kiln.lock",
            store: try root.openStore(), root: root)
    }

    private func freePort() throws -> Int {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(file) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(file, $0, length) == 0 && getsockname(file, $0, &length) == 0
            }
        }
        guard isBound else { throw Failure(.portInUse, "no port is free on 127.0.0.1") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private func median(_ values: [Int]) -> Int { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

    private func tell(_ text: String) {
        if demo.output.output == .text { Screen.tell(Screen.coloured("• ", .green) + text) }
    }
}
