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
        (
            "run.allow.capability NET_RAW",
            { $0.run.allow = [Allowance(.capability(.netRaw), reason: "probes")] }
        ),
        ("run.config.GREETING", { $0.run.config = ["GREETING": "hello"] }),
        ("rollout.drain", { $0.rollout.drain = .seconds(1) }),
        ("rollout.watch", { $0.rollout.watch = .seconds(1) }),
        ("rollout.deadline", { $0.rollout.deadline = .seconds(1) }),
        ("rollout.keep-standby", { $0.rollout.keepStandby = 3 }), ("listen", { $0.listen = nil }),
    ]

    @Test func `a policy is shown key by key, and a key file with another key in it is a change`() {
        let exception = VulnerabilityRule.Exception(
            id: "CVE-2024-3094", package: "xz-utils", until: Instant("2026-12-31T00:00:00Z")!,
            reason: "not reached")
        let policy = AdmissionPolicy(
            keys: [.init(name: "release.pub", publicKey: "MFkwEwYHKoZIzj0CAQYIKo")],
            required: ["https://slsa.dev/provenance/v1"], builders: ["https://ci.example/runner"],
            vulnerabilities: VulnerabilityRule(feed: "/f", atLeast: .high, exceptions: [exception]))
        let plain = Fixtures.release(1).content
        var strict = plain
        strict.policy = policy
        #expect(
            ReleaseChange.list(from: plain, to: strict) == [
                ReleaseChange(field: "policy.builders", old: nil, new: "https://ci.example/runner"),
                ReleaseChange(field: "policy.keys", old: nil, new: "release.pub (…ZIzj0CAQYIKo)"),
                ReleaseChange(field: "policy.require", old: nil, new: "provenance"),
                ReleaseChange(
                    field: "policy.vulnerabilities.except.CVE-2024-3094.xz-utils", old: nil,
                    new: "until 2026-12-31T00:00:00.000Z: not reached"),
                ReleaseChange(field: "policy.vulnerabilities.feed", old: nil, new: "/f"),
                ReleaseChange(field: "policy.vulnerabilities.refuse", old: nil, new: "high"),
                ReleaseChange(field: "policy.vulnerabilities.unrated", old: nil, new: "refuse-fixed"),
            ])
        var other = strict
        other.policy?.keys[0].publicKey = "MFkwEwYHKoZIzj0CAQYIKp"
        #expect(ReleaseChange.list(from: strict, to: other).map(\.field) == ["policy.keys"])
        other.policy = nil
        #expect(ReleaseChange.list(from: strict, to: other).allSatisfy { $0.new == nil })
    }

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
