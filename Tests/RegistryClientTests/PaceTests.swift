import Model
import Testing

@testable import RegistryClient

@Suite struct PaceTests {
    /// Bytes that come every so many milliseconds, for how long they are waited for at most.
    @Test(arguments: [
        (1, 80_000, false), (512, 1_000, false), (1 << 10, 1_000, false), (1100, 1_000, true),
        (64 << 10, 50_000, true), (16 << 20, 100, true),
    ]) func `what comes too slowly is not waited for`(bytes: Int, every: Int, isFine: Bool) {
        var pace = Pace(now: Instant(milliseconds: 0))
        var isWaitedFor = true
        for time in stride(from: every, through: 600_000, by: every) where isWaitedFor {
            isWaitedFor = pace.holds(bytes, now: Instant(milliseconds: time))
        }
        #expect(isWaitedFor == isFine)
    }

    @Test func `a start that was fast excuses no drip, and a short trouble ends nothing`() {
        var pace = Pace(now: Instant(milliseconds: 0))
        let parts = [(1 << 30, 1), (1, 119), (1, 121), (1, 200), (1, 242)]
        let isWaitedFor = parts.map { pace.holds($0, now: Instant(milliseconds: $1 * 1000)) }
        #expect(isWaitedFor == [true, true, true, true, false])
    }
}
