import Model
import TestKit
import Testing

@testable import Planning

@Suite struct ReleaseChangesTests {
    @Test func `releases that behave alike differ in nothing`() {
        let content = Fixtures.release(1).content
        #expect(ReleaseChange.list(from: content, to: content) == [])
    }

    @Test func `a first release is all new`() {
        let changes = ReleaseChange.list(from: nil, to: Fixtures.release(1).content)
        #expect(changes.allSatisfy { $0.old == nil && $0.new != nil })
        #expect(Set(changes.map(\.field)).isSuperset(of: ["image", "listen", "run.port", "run.replicas"]))
    }

    private static let table: [(String, @Sendable (inout Release.Content) -> Void)] = [
        ("image", { $0.image = Fixtures.digest(77) }), ("run.replicas", { $0.run.replicas = 7 }),
        ("run.port", { $0.run.port = 7 }), ("run.health", { $0.run.health.kind = .tcp }),
        ("run.health", { $0.run.health.unhealthyAfter = 9 }),
        ("run.limits", { $0.run.limits.milliCPU = 250 }),
        ("run.scratch", { $0.run.scratch = [ScratchMount(path: "/run")] }),
        ("run.stop-grace", { $0.run.stopGrace = .seconds(1) }),
        ("run.config.GREETING", { $0.run.config = ["GREETING": "hello"] }),
        ("rollout.drain", { $0.rollout.drain = .seconds(1) }),
        ("rollout.watch", { $0.rollout.watch = .seconds(1) }),
        ("rollout.deadline", { $0.rollout.deadline = .seconds(1) }),
        ("rollout.keep-standby", { $0.rollout.keepStandby = 3 }), ("listen", { $0.listen = nil }),
    ]

    @Test(arguments: table.indices)
    func `each setting that differs is one change, named as in the spec`(row: Int) {
        let (field, change) = Self.table[row]
        let old = Fixtures.release(1).content
        var new = old
        change(&new)
        let changes = ReleaseChange.list(from: old, to: new)
        #expect(changes.map(\.field) == [field])
        #expect(changes.first?.old != changes.first?.new)
        let back = ReleaseChange.list(from: new, to: old)
        #expect(back.first?.old == changes.first?.new && back.first?.new == changes.first?.old)
    }
}
