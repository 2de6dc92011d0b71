import Simulation
import Testing

/// A law that nothing can break proves nothing.
@Suite struct SabotageTests {
    /// Seeds among which one gives a mistake its occasion.
    private static let tries: Range<UInt64> = 0..<400

    private static func firstBreach(of law: Law, by sabotage: Sabotage) -> SimulatedRun? {
        for seed in tries {
            let run = SimulatedRun(Script.drawn(by: seed))
            run.sabotage = sabotage
            run.run()
            if run.violation?.law == law { return run }
        }
        return nil
    }

    @Test(arguments: Sabotage.allCases)
    func `a mistake breaks the law against it`(sabotage: Sabotage) {
        #expect(SabotageTests.firstBreach(of: sabotage.law, by: sabotage) != nil)
    }

    @Test func `a story that ends otherwise than it should is told`() throws {
        let text = """
            seed 1 lateness 0 expect returns
            0 deploy spec=1 shape=blue-green replicas=2 temper=good answers=good plain
            0 settle
            0 deploy spec=2 shape=blue-green replicas=2 temper=good answers=good plain
            0 settle
            """
        let run = SimulatedRun(try Script(text: text))
        run.run()
        #expect(run.violation?.law == .expectation)
    }

    @Test func `every law is broken by some mistake or told by a story`() {
        let broken = Set(Sabotage.allCases.map(\.law))
        // Where nothing is wrong, the surge is kept below twice the size too.
        #expect(Set(Law.allCases).subtracting(broken) == [.expectation, .surge])
    }

    @Test func `the shrinker keeps what is needed and little else`() throws {
        let run = try #require(SabotageTests.firstBreach(of: .drainedRemoval, by: .removesServing))
        let small = Shrinker.shrink(run.script, breaking: .drainedRemoval, sabotage: .removesServing)
        #expect(small.entries.count <= 2 && small.entries.count <= run.script.entries.count)
        let again = SimulatedRun(small)
        again.sabotage = .removesServing
        again.run()
        #expect(again.violation?.law == .drainedRemoval)
    }
}
