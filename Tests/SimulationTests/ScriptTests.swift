import Simulation
import Testing

@Suite struct ScriptTests {
    @Test(arguments: 0..<200 as Range<UInt64>)
    func `a script survives being written down`(seed: UInt64) throws {
        let script = Script.drawn(by: seed)
        #expect(try Script(text: script.text) == script)
    }

    @Test(arguments: ["", "seed x lateness 0 expect anything", "seed 1 lateness 0 expect anything\n0 dance"])
    func `what cannot be read is refused or empty`(text: String) {
        if text.isEmpty {
            #expect(throws: Never.self) { try Script(text: text) }
        } else {
            #expect(throws: (any Error).self) { try Script(text: text) }
        }
    }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `the same seed gives the same run`(seed: UInt64) {
        let runs = (0..<2).map { _ in
            let run = SimulatedRun(Script.drawn(by: seed), isTraced: true)
            run.run()
            return run
        }
        #expect(runs[0].trace == runs[1].trace)
        #expect(runs[0].census == runs[1].census && runs[0].uptime == runs[1].uptime)
    }

    @Test func `seeds together try every fault and every shape`() {
        let entries = (0..<400 as Range<UInt64>).flatMap { Script.drawn(by: $0).entries }
        let faults = entries.compactMap { if case .fault(let fault) = $0.act { fault.kind } else { nil } }
        let deployments = entries.compactMap {
            if case .ask(.deploy(let deployment)) = $0.act { deployment } else { nil }
        }
        #expect(Set(faults) == Set(Fault.Kind.allCases))
        #expect(Set(deployments.map(\.shape)) == Set(Deployment.Shape.allCases))
        #expect(Set(deployments.map(\.temper)) == Set(Deployment.Temper.allCases))
        #expect(Set(deployments.map(\.answers)) == Set(Deployment.Answers.allCases))
    }
}
