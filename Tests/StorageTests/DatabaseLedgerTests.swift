import Model
import Ports
import Testing
import Trust
import TestKit

@testable import Storage

/// What is intended and done is in the ledger, or is not done.
@Suite struct DatabaseLedgerTests {
    let folder = try! TemporaryFolder()
    let key = ServiceKey(try! ServiceName("web"))
    let now = Instant(milliseconds: 1_800_000_000_000)
    let image = try! Model.Digest(hex: String(repeating: "a", count: 64))
    let content = try! Model.Digest(hex: String(repeating: "b", count: 64))

    private var release: Release {
        Release(
            key: key, number: ReleaseNumber(1),
            content: Release.Content(
                image: image, run: RunSettings(port: 80, health: HealthCheck(.tcp)),
                rollout: RolloutSettings(), listen: nil),
            digest: content, createdAt: now, by: "uid:1000", message: "first", commit: "c0ffee")
    }

    private func state(_ generation: Int) -> ServiceState {
        var state = ServiceState(key: key)
        state.generation = generation
        return state
    }

    private func entries() throws -> [LedgerEntry] {
        try LedgerFile.reading(folder.path + "/kiln.db")
            .entries(LedgerQuery(), order: .oldestFirst, limit: 1000).map { try $0.parsed() }
    }

    @Test func `who, what, why and from which commit stand beside the intent and its outcome`() async throws {
        let database = try Database(folder.path + "/kiln.db")
        let id = InstanceID(key, release: release.number, ordinal: 1)
        let created = Note(
            .releaseCreated, "r1 is image aaaa", release: release.number, by: "uid:1000",
            details: ["message": "first", "commit": "c0ffee", "digest": content.description])
        let numbers = try await database.commit(
            state(1), adding: release, intents: [.launch(id, release: release.number), .removeRoute(key)],
            notes: [created], at: now)
        try await database.finish(
            [
                StepOutcome(
                    journalNumber: numbers[0],
                    notes: [
                        Note(.launched, "\(id) runs", instance: id, release: release.number)
                    ]),
                StepOutcome(journalNumber: numbers[1], failure: Failure(.timedOut, "nobody answered")),
            ], for: key, at: now + .seconds(1))
        let entries = try entries()
        #expect(entries.map(\.kind) == [.deploy, .intent, .intent, .outcome, .outcome])
        let deploy = entries[0]
        #expect(deploy.by == "uid:1000" && deploy.reason == "first" && deploy.commit == "c0ffee")
        #expect(deploy.evidence == content && deploy.release == release.number && deploy.service == key)
        #expect(entries[0...1].allSatisfy { $0.image == image }, "a release stands for its image")
        #expect(entries[1].message == "launch \(id) of r1" && entries[1].by == LedgerEntry.daemon)
        #expect(entries[3].image == image && entries[3].instance == id)
        #expect(
            entries[1].details == ["step": "launch", "number": "\(numbers[0])"])
        #expect(
            entries[1].details["number"] == entries[3].details["number"], "intent and outcome find each other"
        )
        #expect(entries[4].message == "stop listening for web: nobody answered")
    }

    @Test func `what is refused leaves nothing in the ledger`() async throws {
        let database = try Database(folder.path + "/kiln.db")
        _ = try await database.commit(state(1), adding: release, intents: [], notes: [], at: now)
        await #expect(throws: Failure.self) {
            _ = try await database.commit(
                state(1), adding: nil, intents: [.removeRoute(key)], notes: [Note(.scaled, "x")], at: now)
        }
        #expect(try entries().isEmpty)
        _ = try Database(folder.path + "/kiln.db")
        await #expect(throws: Failure.self) {
            try await database.finish(
                [StepOutcome(journalNumber: 1, notes: [Note(.removed, "x")])], for: key, at: now)
        }
        #expect(try entries().isEmpty, "nor does a daemon whose lease was taken")
    }

    @Test func `every kind of note has a kind of entry`() throws {
        let kinds: [(Note.Kind, String?, LedgerEntry.Kind)] = [
            (.releaseCreated, "uid:0", .deploy), (.approved, "uid:0", .approval), (.gatePassed, nil, .gate),
            (.switched, nil, .switch), (.returning, "uid:0", .rollback), (.scaled, "uid:0", .scale),
            (.retiring, "uid:0", .retire), (.altered, nil, .drift), (.instanceFailed, nil, .drift),
            (.backingOff, nil, .repair), (.bypassed, "uid:0", .breakGlass), (.removed, nil, .outcome),
            (.rolloutEnded, nil, .rollout),
        ]
        for (kind, by, expected) in kinds {
            let entry = LedgerEntry(
                Note(kind, "told", by: by), of: key, rollout: 7, image: nil, at: now)
            #expect(entry.kind == expected, "\(kind)")
            #expect(entry.details["rollout"] == "7")
        }
        let begun = Note(.rolloutBegan, "back", by: "uid:0", details: ["kind": "rollback"])
        #expect(LedgerEntry(begun, of: key, rollout: nil, image: nil, at: now).kind == .rollback)
    }
}
