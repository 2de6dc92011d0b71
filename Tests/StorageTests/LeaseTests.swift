import Foundation
import Model
import Ports
import Testing
import TestKit

@testable import Storage

@Suite struct LeaseTests {
    let folder = try! TemporaryFolder()
    let key = ServiceKey(try! ServiceName("hello"))
    let now = Instant(milliseconds: 1_800_000_000_000)

    var path: String { folder.path + "/kiln.db" }

    func state(_ generation: Int) -> ServiceState {
        var state = ServiceState(key: key)
        state.generation = generation
        return state
    }

    @Test func `whoever opened the database before can no longer write to it`() async throws {
        let older = try Database(path, holder: "the older", at: now)
        let numbers = try await older.commit(
            state(1), adding: nil, intents: [.removeRoute(key)], notes: [], at: now)
        let newer = try Database(path, holder: "the newer", at: now + .seconds(60))

        let commit = await #expect(throws: Failure.self) {
            _ = try await older.commit(
                state(2), adding: nil, intents: [], notes: [Note(.scaled, "x")], at: now)
        }
        #expect(commit?.code == .conflict)
        let said =
            "the newer has served this folder since 2027-01-15T08:01:00.000Z, in the place of the older"
        #expect(commit?.message == said)
        let outcome = StepOutcome(journalNumber: numbers[0], notes: [Note(.removed, "gone")])
        await #expect(throws: Failure.self) { try await older.finish([outcome], for: key, at: now) }

        #expect(try await newer.service(key) == state(1))
        #expect(try await newer.events(of: key, after: 0, limit: 10).isEmpty)
        #expect(try await newer.unfinishedSteps().count == 1)
        _ = try await newer.commit(state(2), adding: nil, intents: [], notes: [], at: now)
        // Looking does no harm.
        #expect(try await older.service(key) == state(2))
    }

    @Test func `each lease has a number of its own, and anybody can see who holds it`() throws {
        #expect(Lease.newest(in: path) == nil)
        for generation in 1...3 {
            let database = try Database(path, holder: "holder \(generation)", at: now)
            withExtendedLifetime(database) {
                #expect(
                    Lease.newest(in: path)
                        == Lease(holder: "holder \(generation)", since: now, generation: generation))
            }
        }
    }

    @Test func `a crash needs no waiting: the next one writes at once`() async throws {
        do { _ = try Database(path) }
        let next = try Database(path)
        _ = try await next.commit(state(1), adding: nil, intents: [], notes: [], at: now)
        #expect(Lease.newest(in: path)?.holder.hasPrefix("pid \(getpid()) of uid \(geteuid()) on ") == true)
    }

    @Test func `the oldest events of a service are forgotten, and those of others are not`() async throws {
        let database = try Database(path, eventsKept: 50)
        let other = ServiceKey(try ServiceName("other"))
        var quiet = ServiceState(key: other)
        quiet.generation = 1
        _ = try await database.commit(
            quiet, adding: nil, intents: [], notes: [Note(.scaled, "kept")], at: now)
        for generation in 1...200 {
            let note = Note(.scaled, "\(generation)")
            _ = try await database.commit(state(generation), adding: nil, intents: [], notes: [note], at: now)
        }
        let messages = try await database.events(of: key, after: 0, limit: 1000).map(\.note.message)
        #expect(messages == (151...200).map { "\($0)" })
        #expect(try await database.events(of: other, after: 0, limit: 10).map(\.note.message) == ["kept"])
    }
}
