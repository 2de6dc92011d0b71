import Model
import Testing
import WireAPI

@testable import CommandLineTool

@Suite struct DriftVerbTests {
    private let key = ServiceKey(try! ServiceName("hello"))
    private let now = Instant(milliseconds: 1_800_000_000_000)
    private var id: InstanceID { InstanceID(key, release: ReleaseNumber(1), ordinal: 3) }

    private func drift(_ kind: Drift.Kind, _ subject: String) -> Drift {
        Drift(kind, subject, "it differs", owner: "nginx", source: .poll, at: now)
    }

    private func answer(
        host: [Drift] = [], _ drifts: [Drift] = [], mode: DriftSettings.Mode = .replace,
        isHalted: Bool = false, tainted: [TaintedInstance] = []
    ) -> DriftAnswer {
        let instances = drifts.isEmpty ? [] : [InstanceDrift(id: id, drifts: drifts)]
        return DriftAnswer(
            host: host,
            services: [
                ServiceDriftStatus(
                    key: key, mode: mode, isHalted: isHalted, instances: instances, tainted: tainted)
            ])
    }

    @Test func `a drift is told with where, what, whose, since when and what is done about it`() {
        let text = answer([drift(.limits, "memory.max"), drift(.process, "nsenter")])
            .text(at: now + .seconds(75))
        let lines = text.split(separator: "\n")
        #expect(lines.count == 5, "\(text)")
        #expect(lines[1].hasPrefix("hello-r1-3") && lines[1].contains("memory.max"))
        #expect(
            lines[1].contains("nginx") && lines[1].contains("1m 15s ago")
                && lines[1].hasSuffix("put back, then replaced"))
        #expect(lines[3].hasSuffix("replaced"))
        #expect(answer([drift(.process, "x")], mode: .alert).text(at: now).contains("told"))
        #expect(answer([drift(.process, "x")], isHalted: true).text(at: now).contains("halted"))
        #expect(answer().text(at: now) == "nothing drifts")
    }

    @Test func `what people hold is shown and does not count; what drifted counts until it is gone`() {
        let held = TaintedInstance(
            id: id, at: now, by: "uid:0", reason: "INC-12", keptUntil: now + .seconds(60))
        let drifted = TaintedInstance(
            id: id, at: now, by: nil, reason: "x", drifts: [drift(.process, "/dev/shm/x")])
        #expect(!answer(tainted: [held]).drifts)
        #expect(answer(tainted: [held]).text(at: now).contains("touched by uid:0, kept until"))
        #expect(answer(tainted: [drifted]).drifts)
        #expect(answer(host: [drift(.host, "sysctl")]).drifts && answer([drift(.process, "x")]).drifts)
    }

    @Test(
        arguments: [
            (SessionEnd.Outcome.exited, 7, 7), (.exited, 0, 0), (.exited, nil, 1), (.timeUp, nil, nil),
            (.notStarted, nil, nil), (.stopped, nil, nil), (.recordingFull, 0, nil),
        ] as [(SessionEnd.Outcome, Int?, Int32?)])
    func `a command's own status is passed on, and no other end looks like one`(
        outcome: SessionEnd.Outcome, status: Int?, code: Int32?
    ) throws {
        let end = SessionEnd(outcome, "why", status: status, at: now)
        guard let code else {
            #expect(throws: Failure.self) { try end.passedOn() }
            return
        }
        #expect(try end.passedOn() == code)
    }
}
