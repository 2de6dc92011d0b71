import Execution
import Model
import Ports
import TestKit
import Testing

/// What the loop does about drift, over a host in memory.
extension ControllerTests {
    private func drift(_ kind: Drift.Kind, _ subject: String) -> Drift {
        Drift(kind, subject, "\(subject) differs", source: .event, at: clock.now)
    }

    @Test func `evidence is kept before what drifted is removed, and the history has its digest`()
        async throws
    {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let id = try #require(await host.serving(key).first)
            await host.drift(id, drift(.process, "sh"))
            try await until("it is gone") { await !host.instances.contains { $0.id == id } }
            try await until("another serves") { await host.serving(key).count == 2 }
            #expect(await host.evidence == [id])
            try await until("it is told") {
                try await controller.events(of: key, after: 0, limit: 1000).contains { event in
                    event.note.kind == .removed && event.note.instance == id
                        && event.note.details["reason"] == "drifted"
                        && event.note.details["evidence"]?.hasSuffix("eeee") == true
                }
            }
            try await until("nothing is left of it") { try await controller.drift().isClean }
        }
    }

    @Test func `limits that were rewritten are put back`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let id = try #require(await host.serving(key).first)
            await host.drift(id, drift(.limits, "memory.max"))
            try await until("they are put back") { await host.repairs == ["limits of \(id)"] }
            try await until("the report is clean") { try await controller.drift().isClean }
            #expect(await host.serving(key).contains(id))
        }
    }

    @Test func `an instance that a person takes is reported, kept, and replaced in the end`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let id = try #require(await host.serving(key).first)
            try await controller.taint(
                id, reason: "a look", by: "uid:0", until: clock.now + .seconds(86_400), isInTraffic: false)
            try await until("another does its work") {
                let serving = await host.serving(key)
                return serving.count == 2 && !serving.contains(id)
            }
            #expect(await host.instances.contains { $0.id == id })
            let report = try await controller.drift()
            #expect(report.services.first?.tainted.map(\.reason) == ["a look"])
            try await controller.endTaint(id, message: "seen enough", by: "uid:0")
            try await until("it is gone") { await !host.instances.contains { $0.id == id } }
            await #expect(throws: Failure.self) {
                try await controller.taint(
                    id, reason: "too late", by: "uid:0", until: nil, isInTraffic: false)
            }
        }
    }

    @Test func `a frozen service is not deployed, and is rolled back all the same`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            _ = try await deploy("b", controller)
            try await until("r2 serves") {
                try await controller.snapshot(of: key).state.current?.value == 2
            }
            var frozen = content("c")
            let freeze = Freeze(
                from: clock.now + .seconds(-1), until: clock.now + .seconds(1_000_000_000), reason: "a sale")
            frozen.repave = RepaveSettings(freezes: [freeze])
            let content = frozen
            await #expect(throws: Failure.self) {
                try await controller.deploy(
                    content, as: key, message: "", by: "test", force: false, queue: false)
            }
            _ = try await controller.rollBack(key, to: nil, by: "test")
            try await until("r1 serves again") {
                try await controller.snapshot(of: key).state.current?.value == 1
            }
        }
    }

    @Test func `the host is set right, which the ledger tells, and is let be when it drifts again and again`()
        async throws
    {
        let ledger = MemoryLedger()
        try await withController(ledger: ledger) { [self] controller in
            await host.driftHost(drift(.host, "bridge"), isLasting: false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await controller.keepHost() }
                try await until("it is set right") { await host.repairs == ["bridge"] }
                try await until("the ledger tells it") {
                    ledger.entries.map(\.kind).contains(.repair)
                }
                #expect(ledger.entries.first { $0.kind == .drift }?.details["subject"] == "bridge")
                await host.driftHost(drift(.host, "route"), isLasting: true)
                try await until("it is let be") {
                    ledger.entries.contains { $0.message.contains("again and again") }
                }
                #expect(await host.repairs.count { $0 == "route" } == 6)
                group.cancelAll()
            }
        }
    }

    @Test func `an instance that was touched and ends by itself leaves evidence, too`() async throws {
        try await withController { [self] controller in
            _ = try await deploy("a", controller)
            try await until("r1 serves") { try await settled(controller) }
            let id = try #require(await host.serving(key).first)
            try await controller.taint(
                id, reason: "a look", by: "uid:0", until: clock.now + .seconds(86_400), isInTraffic: false)
            await host.killInstance(id)
            try await until("it is gone") { await !host.instances.contains { $0.id == id } }
            #expect(await host.evidence.contains(id))
        }
    }

    @Test
    func `of host and router, one that cannot be looked at does not keep the other from being put back`()
        async throws
    {
        try await withController { [self] controller in
            await host.blind("host")
            await host.driftRouter(drift(.router, "weight of x"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await controller.keepHost() }
                try await until("the router is put back") { await host.repairs == ["router"] }
                group.cancelAll()
            }
        }
    }

    @Test func `what was written down of a stranger is named in the ledger`() async throws {
        let ledger = MemoryLedger()
        try await withController(ledger: ledger) { [self] controller in
            await host.driftHost(drift(.stranger, "intruder"), isLasting: false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await controller.keepHost() }
                try await until("it is told") { ledger.entries.contains { $0.kind == .repair } }
                let entry = ledger.entries.first { $0.kind == .repair }
                #expect(entry?.details["evidence-file"] == "/evidence/intruder")
                #expect(entry?.evidence?.hex.hasPrefix("ffff") == true)
                group.cancelAll()
            }
        }
    }

    @Test func `what Kiln does not own is only told`() async throws {
        let ledger = MemoryLedger()
        try await withController(ledger: ledger) { [self] controller in
            await host.driftHost(drift(.image, "web"), isLasting: true)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await controller.keepHost() }
                try await until("it is told") { ledger.entries.contains { $0.kind == .drift } }
                for _ in 1...100 { await Task.yield() }
                #expect(await host.repairs.isEmpty)
                #expect(ledger.entries.count == 1)
                group.cancelAll()
            }
        }
    }
}
