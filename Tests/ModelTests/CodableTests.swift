import Foundation
import Testing

@testable import Model

@Suite struct CodableTests {
    private func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    private func roundTrip<Value: Codable & Equatable>(_ value: Value) throws {
        #expect(try JSONDecoder().decode(Value.self, from: JSONEncoder().encode(value)) == value)
    }

    private let key = try! ServiceKey(parsing: "hello@staging")
    private let id = try! InstanceID("hello-r1-1")
    private let listener = Listener(address: try! SocketAddress(parsing: "[::1]:80"), trafficProtocol: .tcp)

    @Test func `dictionaries keyed by names are JSON objects`() throws {
        #expect(try json([id: Instant(milliseconds: 0)]) == #"{"hello-r1-1":"1970-01-01T00:00:00.000Z"}"#)
        #expect(try json([key: 1]) == #"{"hello@staging":1}"#)
        #expect(try json([ReleaseNumber(3): 1]) == #"{"r3":1}"#)
    }

    @Test func `values are written as a user writes them`() throws {
        #expect(try json([Span.seconds(90)]) == #"["90s"]"#)
        #expect(try json([ByteCount(bytes: 64 << 20)]) == #"["64M"]"#)
        #expect(try json([key]) == #"["hello@staging"]"#)
        #expect(try json([listener]) == #"[{"address":"[::1]:80","trafficProtocol":"tcp"}]"#)
    }

    @Test(arguments: [#"["Not A Name"]"#, #"[""]"#, "[1]", "[null]"])
    func `what is not a value does not decode`(_ text: String) {
        let data = Data(text.utf8)
        #expect(throws: (any Error).self) { try JSONDecoder().decode([ServiceName].self, from: data) }
        #expect(throws: (any Error).self) { try JSONDecoder().decode([Digest].self, from: data) }
        #expect(throws: (any Error).self) { try JSONDecoder().decode([Span].self, from: data) }
        #expect(throws: (any Error).self) { try JSONDecoder().decode([SocketAddress].self, from: data) }
    }

    @Test func `run settings without anything allowed are written as they always were`() throws {
        let run = RunSettings(port: 80, health: HealthCheck(.tcp))
        #expect(try !json(run).contains("allow"))
        try roundTrip(run)
        var loosened = run
        loosened.allow = [
            Allowance(.capability(.netRaw), reason: "a"), Allowance(.systemCalls(["keyctl"]), reason: "b"),
            Allowance(.hostUsers, reason: "c"),
        ]
        try roundTrip(loosened)
    }

    @Test func `a bad name as a key does not decode`() {
        #expect(throws: (any Error).self) {
            try JSONDecoder().decode([InstanceID: Int].self, from: Data(#"{"Not A Name":1}"#.utf8))
        }
    }

    @Test func `a spec, a state and an observation survive JSON`() throws {
        let recipe = Recipe(
            distribution: try .init(parsing: "debian/bookworm"), base: .essential,
            sources: [
                ArchiveSource(uri: "http://mirror.example/debian", suites: ["a"], components: ["main"])
            ],
            packages: [try .init(parsing: "nginx=1")],
            files: [FileRule(from: "a", to: "/a", mode: 0o640, owner: "a:b")],
            user: "a", command: ["a"], workingDirectory: "/a", environment: ["A": "b"])
        let health = HealthCheck(.command(["a", "b"]))
        let run = RunSettings(
            port: 80, health: health, scratch: [ScratchMount(path: "/run")], config: ["A": "b"])
        try roundTrip(
            Spec(service: key.service, image: recipe, run: run, rollout: RolloutSettings(), listen: listener))
        let stages = [
            RolloutStage(
                candidate: Part(1, of: 3), split: .share(5), match: HeaderMatch(header: "X-Canary"),
                hasBaseline: true, wait: .gate(Gate("a", .command(["b"])))),
            RolloutStage(candidate: .whole, stable: .nothing, split: .even, wait: .pause(nil)),
        ]
        var state = ServiceState(key: key)
        state.proven = [id]
        state.drainingSince = [id: Instant(milliseconds: 1)]
        state.rollout = Rollout(
            number: 1, kind: .deploy, from: nil, to: ReleaseNumber(1), startedAt: Instant(milliseconds: 1),
            stages: stages, by: "uid:0")
        state.rollout?.previous = stages[0]
        state.rollout?.pause = Rollout.Pause(since: Instant(milliseconds: 1), reason: "x")
        state.rollout?.gates = [
            "a": .open(since: Instant(milliseconds: 1), task: id),
            "b": .passed(at: Instant(milliseconds: 2), detail: "x"),
        ]
        var analysis = AnalysisProgress(since: Instant(milliseconds: 1))
        analysis.candidate = RequestCounts(
            requests: 2, errors: 1, latency: LatencyHistogram(counts: [412: 2]))
        state.rollout?.analysis = analysis
        state.rollout?.traffic = TrafficCounts(requests: 1, failed: 2, refused: 3, cut: 4, serverErrors: 5)
        state.queued = [QueuedRollout(to: ReleaseNumber(2), by: "uid:0")]
        state.rollout?.phase = .ended(at: Instant(milliseconds: 2), .rolledBack(reason: "x"))
        try roundTrip(state)
        let instance = ObservedInstance(
            id: id, key: key, release: ReleaseNumber(1), phase: .exited(status: 137), address: "10.0.0.2",
            startedAt: Instant(milliseconds: 3))
        let server = ObservedServer(state: .serving(weight: 1), health: .healthy, sessions: 2)
        let routes = [key: ObservedRoute(listener: listener, servers: [id: server])]
        try roundTrip(
            Observation(
                at: Instant(milliseconds: 4), instances: [id: instance],
                router: ObservedRouter(isRunning: true, routes: routes)))
        let route = Route(
            key: key, listener: nil,
            servers: [RouteServer(id: id, address: "10.0.0.2", port: 80, health: health, state: .warm)])
        try roundTrip([Step.route(route), .remove(id, reason: .neverHealthy, grace: .seconds(1))])
    }

    @Test func `latencies are kept to two digits, whatever their size`() {
        #expect(LatencyHistogram.bucket(ofMicroseconds: 1234) == 412)
        #expect(LatencyHistogram.bucket(ofMicroseconds: 7) == 107)
        #expect(LatencyHistogram.bucket(ofMicroseconds: 0) == 100)
        for microseconds in [1, 9, 10, 99, 100, 101, 12_345, 999_999, 7_000_000] {
            let bucket = LatencyHistogram.bucket(ofMicroseconds: microseconds)
            let least = LatencyHistogram.microseconds(ofBucket: bucket)
            #expect(least <= microseconds && Double(microseconds - least) <= Double(microseconds) * 0.1)
        }
    }

    @Test func `counters that began anew count as they are`() {
        let before = RequestCounts(requests: 9, errors: 1, latency: LatencyHistogram(counts: [412: 9]))
        let after = RequestCounts(
            requests: 12, errors: 1, latency: LatencyHistogram(counts: [412: 11, 501: 1]))
        let anew = RequestCounts(requests: 3, errors: 0, latency: LatencyHistogram(counts: [412: 3]))
        #expect(
            after.since(before)
                == RequestCounts(requests: 3, latency: LatencyHistogram(counts: [412: 2, 501: 1])))
        #expect(anew.since(before) == anew)
    }

    @Test func `failures list what is inside any error`() {
        let one = Failure(.portInUse, "a", at: "b", suggestion: "c")
        #expect(Failure.list(Failures([one, one])).count == 2)
        #expect(Failure.list(CancellationError())[0].code == .cancelled)
        #expect(one.at("elsewhere").place == "b")
        #expect(one.description == "b: a\n  → c")
        #expect(
            [one.exitCode, Failure(.invalidSpec, "").exitCode, Failure(.daemonUnreachable, "").exitCode] == [
                1, 2, 3,
            ])
    }

    @Test
    func `a note of a version that knew no names of people still reads, and one of Kiln's own says nothing`()
        throws
    {
        let old = #"{"details":{"replicas":"2"},"kind":"scaled","message":"x","release":"r3"}"#
        let read = try JSONDecoder().decode(Note.self, from: Data(old.utf8))
        #expect(read == Note(.scaled, "x", release: ReleaseNumber(3), details: ["replicas": "2"]))
        #expect(try json(read) == old)
        try roundTrip(Note(.scaled, "x", by: "uid:0"))
    }

    @Test
    func `a gate and a rollout of a version without signed approvals still read, and are written as before`()
        throws
    {
        let old =
            #"{"baseline":[],"by":"uid:0","failed":[],"gates":{"ok":{"open":{"since":"1970-01-01T00:00:00.001Z"}}},"#
            + #""kind":"deploy","number":1,"phase":{"waiting":{"since":"1970-01-01T00:00:00.001Z"}},"#
            + #""resetsReplicas":false,"stage":0,"stages":[{"candidate":{"denominator":1,"numerator":1},"#
            + #""hasBaseline":false,"removesFirst":false,"split":{"none":{}},"stable":{"denominator":1,"numerator":1},"#
            + #""wait":{"gate":{"_0":{"kind":{"approval":{}},"name":"ok","otherwise":"fail","timeout":"24h"}}}}],"#
            + #""startedAt":"1970-01-01T00:00:00.001Z","to":"r1"}"#
        var rollout = try JSONDecoder().decode(Rollout.self, from: Data(old.utf8))
        #expect(rollout.approvals == [] && rollout.openApproval?.kind == .approval(by: nil))
        #expect(try json(rollout) == old.replacing("24h", with: "1d"))
        rollout.approvals = [
            GivenApproval(
                gate: "ok", name: "alice", keyID: "x",
                evidence: try Digest(hex: String(repeating: "a", count: 64)),
                at: Instant(milliseconds: 5), message: "")
        ]
        rollout.stages[0].wait = .gate(Gate("ok", .approval(by: Approvers(["alice", "bob"], count: 2))))
        try roundTrip(rollout)
        #expect(rollout.approvalText(of: rollout.openApproval!) == "1 of 2: alice")
    }

    @Test(arguments: [
        ("alice", true), ("a", true), ("ci-2026.eu_1", true), (String(repeating: "a", count: 64), true),
        (String(repeating: "a", count: 65), false), ("", false), ("Alice", false), ("-a", false),
        ("a.", false),
        ("a b", false), ("é", false), ("a/b", false),
    ])
    func `names of keys`(_ name: String, _ isOne: Bool) { #expect(Approvers.isKeyName(name) == isOne) }

    @Test func `who may approve is said in words`() {
        #expect("\(Approvers(["a"]))" == "a" && "\(Approvers(["a", "b"]))" == "a or b")
        #expect("\(Approvers(["a", "b", "c"], count: 2))" == "2 of a, b and c")
    }
}
