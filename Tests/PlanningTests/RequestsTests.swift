import Model
import TestKit
import Testing

@testable import Planning

@Suite struct RequestsTests {
    private static func releases(_ numbers: ClosedRange<Int>) -> [ReleaseNumber: Release] {
        Dictionary(uniqueKeysWithValues: numbers.map { (ReleaseNumber($0), Fixtures.release($0)) })
    }

    let now = Fixtures.start

    private func code(_ body: () throws -> Void) -> Failure.Code? {
        do { try body() } catch { return (error as? Failure)?.code }
        return nil
    }

    @Test func `releases and rollouts are numbered one after the other`() throws {
        var state = Fixtures.state()
        for number in 1...3 {
            #expect(state.nextRelease() == ReleaseNumber(number))
            _ = try state.deploy(Fixtures.release(number), replacing: nil, at: now, by: "uid:0")
            #expect(state.rollout?.number == number && state.rollout?.to == ReleaseNumber(number))
        }
        #expect(state.lastRollout?.outcome == .superseded)
    }

    @Test func `a deploy starts from what serves, and forgets how often that had to be restarted`() throws {
        var state = Fixtures.state(good: [1, 2], standbys: [1])
        state.restarts = RestartHistory(recent: 9, last: now)
        let notes = try state.deploy(
            Fixtures.release(3), replacing: Fixtures.release(2), at: now, by: "uid:0")
        #expect(state.rollout?.from == ReleaseNumber(2) && state.rollout?.phase == .launching(since: now))
        #expect(state.restarts == RestartHistory() && notes.map(\.kind) == [.rolloutBegan])
    }

    @Test(arguments: [(2, false), (3, true)])
    func `a count set by hand gives way only to another declared count`(declared: Int, resets: Bool) throws {
        var state = Fixtures.state(good: [1], replicas: 5)
        let new = Fixtures.release(2, replicas: declared)
        _ = try state.deploy(new, replacing: Fixtures.release(1, replicas: 2), at: now, by: "uid:0")
        #expect(state.rollout?.resetsReplicas == resets && state.replicas == 5)
        _ = try state.scale(to: 4, by: "uid:0")
        #expect(state.rollout?.resetsReplicas == false && state.replicas == 4)
    }

    @Test(arguments: [(nil, 2), (1, 1), (2, 2), (4, 4)] as [(Int?, Int)])
    func `a rollback goes to the release that is named, or to the last good one`(target: Int?, to: Int) throws
    {
        var state = Fixtures.state(good: [1, 2, 3])
        let known = Self.releases(1...4)
        _ = try state.rollBack(to: target.map { ReleaseNumber($0) }, known: known, at: now, by: "uid:0")
        #expect(state.rollout?.kind == .rollback && state.rollout?.to == ReleaseNumber(to))
        #expect(state.rollout?.from == ReleaseNumber(3))
    }

    @Test func `a rollback that makes no sense is refused, and changes nothing`() throws {
        let known = Self.releases(1...2)
        var rollingBack = Fixtures.state(good: [1, 2])
        _ = try rollingBack.rollBack(to: nil, known: known, at: now, by: "uid:0")
        var first = Fixtures.state()
        _ = try first.deploy(Fixtures.release(1), replacing: nil, at: now, by: "uid:0")
        var second = Fixtures.state(good: [1])
        _ = try second.deploy(Fixtures.release(2), replacing: nil, at: now, by: "uid:0")
        var retiring = Fixtures.state(good: [1, 2])
        _ = retiring.beginRetiring(at: now, by: "uid:0")
        let table: [(ServiceState, Int?, Failure.Code)] = [
            (Fixtures.state(), nil, .notFound), (Fixtures.state(good: [1]), nil, .notFound),
            (Fixtures.state(good: [1, 2]), 9, .notFound), (Fixtures.state(good: [1, 2]), 2, .conflict),
            (rollingBack, nil, .conflict), (rollingBack, 1, .conflict), (first, nil, .notFound),
            (second, 2, .conflict), (retiring, nil, .conflict),
        ]
        for (before, target, expected) in table {
            var state = before
            let found = code {
                _ = try state.rollBack(
                    to: target.map { ReleaseNumber($0) }, known: known, at: now, by: "uid:0")
            }
            #expect(found == expected && state == before)
        }
    }

    @Test(arguments: [(0, false), (1, true), (1000, true), (1001, false), (-1, false)])
    func `a service runs 1 to 1000 instances`(count: Int, isAllowed: Bool) {
        var state = Fixtures.state(good: [1])
        let found = code { _ = try state.scale(to: count, by: "uid:0") }
        #expect(found == (isAllowed ? nil : .invalidArgument))
        #expect(state.replicas == (isAllowed ? count : nil))
    }

    @Test func `a service that is being retired takes no other request, and is retired once`() {
        var state = Fixtures.state(good: [1])
        #expect(state.beginRetiring(at: now, by: "uid:0").count == 1)
        #expect(state.beginRetiring(at: now, by: "uid:0").isEmpty)
        #expect(code { _ = try state.scale(to: 2, by: "uid:0") } == .conflict)
        #expect(
            code { _ = try state.deploy(Fixtures.release(2), replacing: nil, at: now, by: "uid:0") }
                == .conflict)
    }

    @Test func `every note about what somebody asked for names that person`() throws {
        let known = Self.releases(1...3)
        var idle = Fixtures.state(good: [1, 2])
        idle.releasesMade = 2
        var busy = idle
        _ = try busy.deploy(
            Fixtures.canary(3, [.pause(nil)], replicas: 1), replacing: Fixtures.release(2), at: now,
            by: "uid:0")
        var paused = busy
        _ = try paused.pause(at: now, by: "uid:0")
        var asking = busy
        asking.rollout?.stages[0].wait = .gate(Gate("a", .approval(by: nil)))
        asking.rollout?.phase = .waiting(since: now)
        asking.rollout?.gates = ["a": .open(since: now, task: nil)]
        let (now, new, name) = (now, Fixtures.release(3), "uid:7")
        let table: [(String, ServiceState, (inout ServiceState) throws -> [Note], Int)] = [
            ("deploy", idle, { try $0.deploy(new, replacing: nil, at: now, by: name) }, 1),
            ("supersede", busy, { try $0.deploy(new, replacing: nil, at: now, by: name) }, 2),
            (
                "queue", busy,
                { try $0.deploy(new, replacing: nil, isQueued: true, at: now, by: name) }, 1
            ),
            ("roll back", idle, { try $0.rollBack(to: nil, known: known, at: now, by: name) }, 1),
            ("abort by rollback", busy, { try $0.rollBack(to: nil, known: known, at: now, by: name) }, 1),
            ("pause", busy, { try $0.pause(at: now, by: name) }, 1),
            ("resume", paused, { try $0.resume(at: now, by: name) }, 1),
            ("promote", busy, { try $0.promote(at: now, by: name) }, 1),
            ("abort", busy, { try $0.abort(at: now, by: name) }, 1),
            ("approve", asking, { try $0.approve(nil, at: now, by: name) }, 2),
            ("scale", idle, { try $0.scale(to: 3, by: name) }, 1),
            ("retire", busy, { $0.beginRetiring(at: now, by: name) }, 2),
        ]
        for (what, state, ask, count) in table {
            var state = state
            let notes = try ask(&state)
            #expect(notes.map(\.by) == Array(repeating: name, count: count), "\(what)")
        }
        var ending = idle
        #expect(ending.beginRetiring(at: now, by: nil).map(\.by) == [nil])
    }
}
