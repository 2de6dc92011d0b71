import Execution
import Foundation
import Logging
import Model
import Ports
import Storage
import Synchronization
import TestKit
import Testing

/// Sessions and holds by the real controller, over a host in memory.
@Suite final class BreakGlassTests: Sendable {
    let folder = NSTemporaryDirectory() + "kiln-break-glass-\(UUID().uuidString)"
    let clock = JumpingClock()
    let host: FakeHost
    let ledger = MemoryLedger()
    let sessions: FakeSessions
    let allowed = Mutex<[UInt32]?>(nil)
    let problem = Mutex<Failure?>(nil)
    let key = ServiceKey(try! ServiceName("hello"))

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        host = FakeHost(clock: clock)
        sessions = FakeSessions(ledger: ledger)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// Runs a body beside a controller that serves two instances of r1.
    private func serving(_ body: @Sendable @escaping (Controller, BreakGlass) async throws -> Void)
        async throws
    {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let world = World(
            platform: host, router: host, gates: host, admission: OpenAdmission(), ledger: ledger,
            store: try Database(folder + "/kiln.db"), clock: clock, logger: logger)
        let controller = Controller(world)
        let breakGlass = BreakGlass(
            controller, world: world, host: sessions, daemonUser: 500, policyFile: "/r/policy.yaml",
            // This suite holds what holds the rule.
            stated: { [weak self] in
                BreakGlass.Stated(
                    BreakGlassRule(allow: self?.allowed.withLock { $0 }),
                    problem: self?.problem.withLock { $0 })
            })
        try await withThrowingTaskGroup { group in
            group.addTask { await controller.run() }
            group.addTask {
                let content = Release.Content(
                    image: try Digest(hex: String(repeating: "a", count: 64)),
                    run: RunSettings(replicas: 2, port: 80, health: HealthCheck(.http(path: "/"))),
                    rollout: RolloutSettings(drain: .seconds(1), watch: .seconds(1), deadline: .seconds(10)),
                    listen: Listener(address: SocketAddress(host: "127.0.0.1", port: 8000)))
                _ = try await controller.deploy(
                    content, as: self.key, message: "", by: "test", force: false, queue: false)
                for _ in 1...ControllerTests.patience {
                    if try await controller.snapshot(of: self.key).state.current != nil { break }
                    await Task.yield()
                }
                try await body(controller, breakGlass)
            }
            try await group.next()
            group.cancelAll()
        }
    }

    private func order(
        _ id: InstanceID, reason: String = "INC-1", command: [String] = ["sh"], span: Span = .seconds(60),
        kind: Session.Kind = .exec, image: Digest? = nil
    ) -> BreakGlass.Order {
        BreakGlass.Order(
            kind: kind, instance: id, command: command, reason: reason, span: span, isInTraffic: false,
            terminal: nil, image: image)
    }

    private var first: InstanceID { InstanceID(key, release: ReleaseNumber(1), ordinal: 1) }

    private func tainted(_ controller: Controller) async throws -> TaintedInstance? {
        try await controller.snapshot(of: key).state.tainted.first { $0.id == first }
    }

    @Test
    func `the ledger has a session before anything of it runs, and the instance is kept no longer than it`()
        async throws
    {
        try await serving { controller, breakGlass in
            let (session, _) = try await breakGlass.open(self.order(self.first), by: 0)
            #expect(session.number == 1 && session.by == "uid:0" && session.endsInstance)
            let before = self.sessions.entriesAtOpen.withLock { $0 }
            let entry = try #require(before.last { $0.kind == .breakGlass })
            #expect(entry.reason == "INC-1" && entry.instance == self.first && entry.by == "uid:0")
            #expect(entry.details["command"] == "sh" && entry.details["session"] == "1")
            #expect(try await self.tainted(controller)?.keptUntil == session.until + Session.Limit.farewell)
            await self.sessions.end(
                session.number, SessionEnd(.exited, "over", status: 3, at: self.clock.now))
            // The planner may have replaced it already.
            #expect(try await self.tainted(controller)?.keptUntil == nil)
            let end = try #require(self.ledger.entries.last { $0.details["phase"] == "end" })
            #expect(end.details["status"] == "3" && end.details["outcome"] == "exited")
        }
    }

    @Test func `who is not named gets nowhere near an instance, and hears what to add where`() async throws {
        try await serving { controller, breakGlass in
            for (allow, user) in [(nil, 1000), ([1000], 0), ([0], 500)] as [([UInt32]?, UInt32)] {
                self.allowed.withLock { $0 = allow }
                let refused = await #expect(throws: Failure.self) {
                    _ = try await breakGlass.open(self.order(self.first), by: user)
                }
                #expect(refused?.code == .notPermitted && refused?.place == "/r/policy.yaml")
                #expect(refused?.suggestion?.contains("uid:\(user)") == true)
                await #expect(throws: Failure.self) {
                    _ = try await breakGlass.hold(self.first, reason: "x", span: .seconds(60), by: user)
                }
                await #expect(throws: Failure.self) { try await breakGlass.endHold(self.first, by: user) }
            }
            #expect(self.sessions.opened.withLock { $0 } == 0)
            let untouched = try await self.tainted(controller)
            #expect(untouched == nil)
            // A change counts at once.
            self.allowed.withLock { $0 = [1000] }
            let session = try await breakGlass.open(self.order(self.first), by: 1000).0
            #expect(session.by == "uid:1000")
        }
    }

    @Test func `whoever is let in from now on is in the ledger before anybody goes in, and by itself`()
        async throws
    {
        try await serving { controller, breakGlass in
            func told() -> [String] {
                self.ledger.entries.filter { $0.kind == .policy }.map(\.message)
            }
            let words = "who may go into instances here: "
            self.allowed.withLock { $0 = [0, 1000] }
            _ = try await breakGlass.open(self.order(self.first), by: 1000)
            #expect(told() == [words + "uid:0, uid:1000"])
            _ = try? await breakGlass.open(self.order(self.first), by: 1000)
            #expect(told().count == 1, "told once")
            try await withThrowingTaskGroup { group in
                group.addTask { await breakGlass.watch() }
                self.problem.withLock { $0 = Failure(.invalidSpec, "allows is no key") }
                for _ in 0..<1000 where told().count < 2 { try await Task.sleep(for: .milliseconds(5)) }
                #expect(told().last?.contains("cannot be used as it is now: allows is no key") == true)
                group.cancelAll()
            }
        }
    }

    @Test func `a session without a reason, a command, a sane time or an instance changes nothing`()
        async throws
    {
        try await serving { controller, breakGlass in
            let nobody = InstanceID(self.key, release: ReleaseNumber(9), ordinal: 99)
            let wrong = [
                self.order(self.first, reason: " \n"),
                self.order(self.first, reason: String(repeating: "x", count: 1025)),
                self.order(self.first, command: []), self.order(self.first, command: ["a\0b"]),
                self.order(self.first, command: Array(repeating: "x", count: 257)),
                self.order(self.first, span: .zero),
                self.order(self.first, span: Session.Limit.longest + .seconds(1)),
                self.order(self.first, kind: .debug), self.order(nobody),
                self.order(self.first, image: try Digest(hex: String(repeating: "b", count: 64))),
            ]
            let before = self.ledger.entries.count { $0.kind == .breakGlass }
            for order in wrong {
                await #expect(throws: Failure.self) { _ = try await breakGlass.open(order, by: 0) }
            }
            #expect(self.ledger.entries.count { $0.kind == .breakGlass } == before)
            #expect(try await self.tainted(controller) == nil)
        }
    }

    @Test func `a session in a held instance ends neither it nor the hold`() async throws {
        try await serving { controller, breakGlass in
            let until = try await breakGlass.hold(self.first, reason: "look", span: .seconds(3600), by: 0)
            let (session, _) = try await breakGlass.open(self.order(self.first), by: 0)
            #expect(!session.endsInstance)
            await #expect(throws: Failure.self) { try await breakGlass.endHold(self.first, by: 0) }
            await self.sessions.end(session.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(try await self.tainted(controller)?.keptUntil == until)
        }
    }

    @Test func `of two sessions in one instance the last one ends it`() async throws {
        try await serving { controller, breakGlass in
            let one = try await breakGlass.open(self.order(self.first), by: 0).0
            let two = try await breakGlass.open(self.order(self.first, span: .seconds(120)), by: 0).0
            await self.sessions.end(one.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(try await self.tainted(controller)?.keptUntil != nil)
            await self.sessions.end(two.number, SessionEnd(.vanished, "gone", at: self.clock.now))
            #expect(try await self.tainted(controller)?.keptUntil == nil)
        }
    }

    @Test func `a session that begins while the end of another is written down keeps its instance`()
        async throws
    {
        try await serving { controller, breakGlass in
            let one = try await breakGlass.open(self.order(self.first), by: 0).0
            let next = Mutex<Session?>(nil)
            self.ledger.whenAppending { entry in
                guard entry.details["phase"] == "end", next.withLock({ $0 == nil }) else { return }
                let two = try? await breakGlass.open(self.order(self.first), by: 0).0
                next.withLock { $0 = two }
            }
            await self.sessions.end(one.number, SessionEnd(.exited, "over", at: self.clock.now))
            let two = try #require(next.withLock { $0 })
            #expect(two.endsInstance)
            #expect(try await self.tainted(controller)?.keptUntil != nil)
            await self.sessions.end(two.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(try await self.tainted(controller)?.keptUntil == nil)
        }
    }

    @Test func `two sessions that begin at once in a held instance leave the hold as it is`() async throws {
        try await serving { controller, breakGlass in
            let until = try await breakGlass.hold(self.first, reason: "look", span: .seconds(3600), by: 0)
            let all = try await withThrowingTaskGroup(of: Session.self) { group in
                for _ in 1...8 {
                    group.addTask { try await breakGlass.open(self.order(self.first), by: 0).0 }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(all.count == 8 && all.allSatisfy { !$0.endsInstance })
            for session in all {
                await self.sessions.end(session.number, SessionEnd(.exited, "over", at: self.clock.now))
            }
            #expect(try await self.tainted(controller)?.keptUntil == until)
        }
    }

    @Test func `a hold that is shorter than a session in it lasts as long as that`() async throws {
        try await serving { controller, breakGlass in
            let order = self.order(self.first, span: .seconds(7200))
            let session = try await breakGlass.open(order, by: 0).0
            let until = try await breakGlass.hold(self.first, reason: "look", span: .seconds(60), by: 0)
            #expect(until >= session.until)
            #expect(try await self.tainted(controller)?.keptUntil == until)
            await self.sessions.end(session.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(try await self.tainted(controller)?.keptUntil == until, "somebody holds it by now")
        }
    }

    @Test func `tools are not collected while a session waits for its person`() async throws {
        try await serving { controller, breakGlass in
            let image = try Digest(hex: String(repeating: "b", count: 64))
            let order = self.order(self.first, kind: .debug, image: image)
            let session = try await breakGlass.open(order, by: 0).0
            await controller.forgetUnusedImages()
            #expect(await self.host.keptImages.contains(image))
            await self.sessions.end(session.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(await !self.host.keptImages.contains(image))
            self.sessions.refuses.withLock { $0 = true }
            await #expect(throws: Failure.self) { _ = try await breakGlass.open(order, by: 0) }
            await controller.forgetUnusedImages()
            #expect(await !self.host.keptImages.contains(image))
        }
    }

    @Test func `an end counts as told once the ledger has it, and not before`() async throws {
        try await serving { controller, breakGlass in
            let one = try await breakGlass.open(self.order(self.first), by: 0).0
            self.ledger.fill(true)
            await self.sessions.end(one.number, SessionEnd(.exited, "over", at: self.clock.now))
            #expect(self.sessions.toldNumbers.withLock { $0 } == [])
            self.ledger.fill(false)
            try await breakGlass.recover()
            #expect(self.sessions.toldNumbers.withLock { $0 } == [77])
        }
    }

    @Test func `a session that cannot begin is over in the ledger, and so is one that the daemon died in`()
        async throws
    {
        try await serving { controller, breakGlass in
            self.sessions.refuses.withLock { $0 = true }
            await #expect(throws: Failure.self) {
                _ = try await breakGlass.open(self.order(self.first), by: 0)
            }
            #expect(
                self.ledger.entries.last { $0.details["phase"] == "end" }?.details["outcome"] == "not-started"
            )
            #expect(try await self.tainted(controller)?.keptUntil == nil)
            try await breakGlass.recover()
            #expect(self.ledger.entries.last { $0.details["phase"] == "end" }?.details["session"] == "77")
        }
    }
}

/// Sessions that go on until a test ends them.
final class FakeSessions: SessionHost {
    let ledger: MemoryLedger
    let entriesAtOpen = Mutex<[LedgerEntry]>([])
    let opened = Mutex(0)
    let refuses = Mutex(false)
    private let reserved = Mutex(0)
    private let open = Mutex<[Int: (Session, @Sendable (Session) async -> Void)]>([:])

    init(ledger: MemoryLedger) { self.ledger = ledger }

    func reserve(_ session: Session) async throws -> Session {
        var session = session
        session.number = reserved.withLock { number in
            number += 1
            return number
        }
        return session
    }

    func open(
        _ session: Session, for user: UInt32, ended: @escaping @Sendable (Session) async -> Void
    ) async throws -> SessionPlace {
        if refuses.withLock({ $0 }) { throw Failure(.launchFailed, "no") }
        entriesAtOpen.withLock { $0 = ledger.entries }
        opened.withLock { $0 += 1 }
        open.withLock { $0[session.number] = (session, ended) }
        return SessionPlace(socket: "/s", recording: "/r")
    }

    func end(_ number: Int, _ end: SessionEnd) async {
        guard let (begun, ended) = open.withLock({ $0.removeValue(forKey: number) }) else { return }
        var session = begun
        session.end = end
        await ended(session)
    }

    func abandon(_ session: Session, _ end: SessionEnd) async -> Session {
        var session = session
        session.end = end
        return session
    }

    let toldNumbers = Mutex<[Int]>([])
    func told(_ session: Session) async { toldNumbers.withLock { $0.append(session.number) } }

    func recover() async throws -> [Session] {
        let key = ServiceKey(try ServiceName("hello"))
        return [
            Session(
                number: 77, kind: .exec, instance: InstanceID(key, release: ReleaseNumber(1), ordinal: 1),
                key: key, by: "uid:0", reason: "x", command: ["sh"], begunAt: Instant(milliseconds: 0),
                until: Instant(milliseconds: 1),
                end: SessionEnd(.stopped, "died", at: Instant(milliseconds: 2)))
        ]
    }

    func stop() async {}
}
