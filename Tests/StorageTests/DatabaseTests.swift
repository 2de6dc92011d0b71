import Foundation
import Model
import Ports
import Testing
import TestKit

@testable import Storage

@Suite struct DatabaseTests {
    let folder = try! TemporaryFolder()
    let key = ServiceKey(try! ServiceName("hello"))
    let now = Instant(milliseconds: 1_800_000_000_000)

    func open() throws -> Database { try Database(folder.path + "/kiln.db") }

    func state(_ generation: Int) -> ServiceState {
        var state = ServiceState(key: key)
        state.generation = generation
        state.instancesNamed = generation * 10
        return state
    }

    @Test func `what was committed is there when the file is opened again`() async throws {
        let release = Release(
            key: key, number: ReleaseNumber(1),
            content: Release.Content(
                image: try Digest(hex: String(repeating: "a", count: 64)),
                run: RunSettings(port: 80, health: HealthCheck(.tcp)), rollout: RolloutSettings(), listen: nil
            ),
            digest: try Digest(hex: String(repeating: "b", count: 64)), createdAt: now, by: "uid:0",
            message: "first")
        do {
            let database = try open()
            let step = Step.launch(
                InstanceID(key, release: ReleaseNumber(1), ordinal: 1), release: ReleaseNumber(1))
            let numbers = try await database.commit(
                state(1), adding: release, intents: [step], notes: [Note(.scaled, "told")], at: now)
            #expect(numbers.count == 1)
        }
        let database = try open()
        #expect(try await database.services() == [state(1)])
        #expect(try await database.releases(of: key) == [release])
        #expect(try await database.unfinishedSteps().count == 1)
        #expect(try await database.events(of: key, after: 0, limit: 10).map(\.note.message) == ["told"])
    }

    @Test(arguments: [0, 1, 3, 7]) func `a writer that read an older state is refused`(generation: Int)
        async throws
    {
        let database = try open()
        _ = try await database.commit(state(1), adding: nil, intents: [], notes: [], at: now)
        let stale = state(generation)
        await #expect(throws: Failure.self) {
            _ = try await database.commit(
                stale, adding: nil, intents: [], notes: [Note(.scaled, "x")], at: now)
        }
        #expect(try await database.service(key)?.generation == 1)
        #expect(try await database.events(of: key, after: 0, limit: 10).isEmpty)
    }

    @Test func `two writers at once: one wins, nothing is half-written`() async throws {
        let database = try open()
        let wins = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (try? await database.commit(
                        state(1), adding: nil, intents: [], notes: [Note(.scaled, "x")], at: now)) != nil
                }
            }
            return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
        }
        #expect(wins == 1)
        #expect(try await database.events(of: key, after: 0, limit: 10).count == 1)
    }

    @Test func `a step is unfinished until its outcome is written`() async throws {
        let database = try open()
        let step = Step.removeRoute(key)
        let numbers = try await database.commit(state(1), adding: nil, intents: [step], notes: [], at: now)
        #expect(try await database.unfinishedSteps().map(\.step) == [step])
        let outcome = StepOutcome(journalNumber: numbers[0], failure: nil, notes: [Note(.removed, "gone")])
        try await database.finish([outcome], for: key, at: now)
        #expect(try await database.unfinishedSteps().isEmpty)
        #expect(try await database.events(of: key, after: 0, limit: 10).map(\.note.kind) == [.removed])
    }

    @Test func `events are read on from a number, oldest first, the newest when there are too many`()
        async throws
    {
        let database = try open()
        let notes = (1...5).map { Note(.scaled, "\($0)") }
        _ = try await database.commit(state(1), adding: nil, intents: [], notes: notes, at: now)
        let all = try await database.events(of: key, after: 0, limit: 100)
        #expect(all.map(\.note.message) == ["1", "2", "3", "4", "5"])
        #expect(
            try await database.events(of: key, after: all[2].number, limit: 100).map(\.note.message) == [
                "4", "5",
            ])
        #expect(try await database.events(of: key, after: 0, limit: 2).map(\.note.message) == ["4", "5"])
    }

    @Test func `a full disk is said, and the state stays as it was`() async throws {
        let disk = try SmallDisk(megabytes: 1)
        let database = try Database(disk.path + "/kiln.db")
        _ = try await database.commit(state(1), adding: nil, intents: [], notes: [], at: now)
        let long = Note(.scaled, String(repeating: "x", count: 2 << 20))
        let failure = await #expect(throws: Failure.self) {
            _ = try await database.commit(state(2), adding: nil, intents: [], notes: [long], at: now)
        }
        #expect(failure?.code == .diskFull)
        #expect(try await database.service(key) == state(1))
        _ = try await database.commit(state(2), adding: nil, intents: [], notes: [], at: now)
    }
}

/// A file system of a size that fills quickly. Needs root.
final class SmallDisk: Sendable {
    let path: String

    init(megabytes: Int) throws {
        path = NSTemporaryDirectory() + "kiln-disk-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let isMounted = mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m") == 0
        if !isMounted { throw Failure(.notPermitted, "cannot mount a small disk; run the tests as root") }
    }

    deinit {
        umount2(path, Int32(MNT_DETACH))
        rmdir(path)
    }
}
