import Model
import Testing

@testable import Planning

@Suite struct ProbeCounterTests {
    @Test(arguments: [
        ("", Health.unproven), ("+", .unproven), ("++", .healthy), ("+-+", .unproven), ("+-++", .healthy),
        ("++--", .healthy), ("++---", .failing), ("++--+--", .healthy), ("++---+", .failing),
        ("++---++", .healthy), ("--", .unproven), ("---", .failing), ("---++", .healthy),
    ])
    func `two passes in a row make healthy, three failures in a row failing`(probes: String, health: Health) {
        let check = HealthCheck(.tcp, healthyAfter: 2, unhealthyAfter: 3)
        var counter = ProbeCounter()
        for probe in probes { counter.count(passed: probe == "+", by: check) }
        #expect(counter.health == health)
    }
}
