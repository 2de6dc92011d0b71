import Foundation
import Model
import Testing

@testable import WireAPI

@Suite struct RolloutStatusTests {
    private let key = ServiceKey(try! ServiceName("hello"))
    private let now = Instant(milliseconds: 1_800_000_000_000)

    private func instance(
        _ release: Int, _ ordinal: Int, weight: Int, health: Health = .healthy
    ) -> InstanceStatus {
        let release = ReleaseNumber(release)
        return InstanceStatus(
            id: InstanceID(key, release: release, ordinal: ordinal), release: release, phase: .running,
            health: health, weight: weight, sessions: 0, address: "10.0.0.\(ordinal)", startedAt: now,
            processID: nil)
    }

    /// From r1 to r2 in two stages: a quarter beside all of the old release, then all.
    private func rollout(stage: Int, _ phase: Rollout.Phase, from: Int? = 1) -> Rollout {
        var rollout = Rollout(
            number: 1, kind: .deploy, from: from.map { ReleaseNumber($0) }, to: ReleaseNumber(2),
            startedAt: now,
            stages: [
                RolloutStage(candidate: Part(1, of: 4), split: .share(5), hasBaseline: true),
                RolloutStage(candidate: .whole, stable: .nothing, split: .share(100)),
            ], by: "uid:0")
        rollout.stage = stage
        rollout.phase = phase
        return rollout
    }

    private func list(
        _ rollout: Rollout, standbys: [ReleaseNumber] = [], _ instances: [InstanceStatus] = []
    ) -> [ReleaseStatus] {
        ReleaseStatus.list(rollout, size: 4, standbys: standbys, instances: instances)
    }

    @Test func `shares are parts of the whole weight, and only the healthy are counted`() {
        let old = (1...4).map { instance(1, $0, weight: $0 == 4 ? 0 : 95) }
        let new = [instance(2, 5, weight: 15), instance(2, 6, weight: 0, health: .unproven)]
        #expect(
            list(rollout(stage: 0, .waiting(since: now)), old + new) == [
                ReleaseStatus(release: ReleaseNumber(2), share: 500, healthy: 1, wanted: 1),
                ReleaseStatus(release: ReleaseNumber(1), share: 9500, healthy: 4, wanted: 4),
            ])
    }

    @Test func `instances to compare with come on top of the old release's own`() {
        var rollout = rollout(stage: 0, .waiting(since: now))
        rollout.baseline = [InstanceID(key, release: ReleaseNumber(1), ordinal: 9)]
        #expect(list(rollout).map(\.wanted) == [1, 5])
    }

    @Test(
        arguments: [
            // The old instances stay as they were until the new ones are proven.
            (1, Rollout.Phase.launching(since: Instant(milliseconds: 0)), [4, 4]),
            (1, .switching(since: Instant(milliseconds: 0)), [4, 0]),
            (0, .returning(since: Instant(milliseconds: 0), reason: "x"), [0, 4]),
            (1, .ended(at: Instant(milliseconds: 0), .succeeded), [4, 0]),
            (1, .ended(at: Instant(milliseconds: 0), .rolledBack(reason: "x")), [0, 4]),
        ])
    func `how many are wanted follows the phase`(_ stage: Int, _ phase: Rollout.Phase, _ wanted: [Int]) {
        #expect(list(rollout(stage: stage, phase)).map(\.wanted) == wanted)
    }

    @Test func `a standby is wanted whole, and the first release has no other beside it`() {
        let ended = rollout(stage: 1, .ended(at: now, .succeeded))
        #expect(list(ended, standbys: [ReleaseNumber(1)]).map(\.wanted) == [4, 4])
        #expect(list(rollout(stage: 0, .launching(since: now), from: nil)).map(\.release.value) == [2])
    }

    @Test func `the end of a rollout is read from its event`() {
        func event(_ kind: Note.Kind, _ details: [String: String]) -> Event {
            Event(
                number: 7, at: now, key: key, rollout: 3,
                note: Note(kind, "r2 serves", release: ReleaseNumber(2), details: details))
        }
        let details = [
            "outcome": "succeeded", "requests": "12345", "failed": "1", "refused": "2", "cut": "3",
            "server-errors": "4",
        ]
        #expect(
            RolloutRecord(event(.rolloutEnded, details))
                == RolloutRecord(
                    rollout: 3, release: ReleaseNumber(2), at: now, outcome: "succeeded",
                    message: "r2 serves",
                    traffic: TrafficCounts(
                        requests: 12_345, failed: 1, refused: 2, cut: 3, serverErrors: 4)))
        #expect(RolloutRecord(event(.rolloutEnded, ["outcome": "failed"]))?.traffic == nil)
        #expect(RolloutRecord(event(.switched, details)) == nil)
    }

    @Test func `what an older program sends to a gate is still understood`() throws {
        let plain = try JSONDecoder().decode(RolloutControlRequest.self, from: Data("{}".utf8))
        #expect(plain.gate == nil && plain.approval == nil)
        let named = try JSONDecoder().decode(RolloutControlRequest.self, from: Data(#"{"gate":"a"}"#.utf8))
        #expect(named.gate == "a" && named.approval == nil)
        let status = RolloutStatus(
            key: key, rollout: rollout(stage: 0, .waiting(since: now)), strategy: "canary", deadline: .zero,
            releases: [], traffic: TrafficCounts(), queued: [])
        let text = String(decoding: try JSONEncoder().encode(status), as: UTF8.self)
        #expect(!text.contains("approval"))
        #expect(try JSONDecoder().decode(RolloutStatus.self, from: Data(text.utf8)).approval == nil)
    }
}
