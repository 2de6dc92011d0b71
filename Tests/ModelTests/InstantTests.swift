import Testing

@testable import Model

@Suite struct InstantTests {
    @Test func `an instant reads back what it writes, over centuries`() {
        // Every 11 days, 3 hours and some from the year 1600 to the year 2600, off any round number.
        let (first, last, stride) = (-11_676_096_000_000, 19_880_899_200_000, 961_234_567)
        for milliseconds in Swift.stride(from: first, to: last, by: stride) {
            let instant = Instant(milliseconds: milliseconds)
            #expect(Instant(instant.description) == instant)
        }
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:00.000Z", 0), ("1969-12-31T23:59:59.999Z", -1),
            ("2000-02-29T12:00:00.000Z", 951_825_600_000), ("2026-01-31T23:59:59.000Z", 1_769_903_999_000),
            ("1900-03-01T00:00:00.000Z", -2_203_891_200_000), ("2100-03-01T00:00:00.000Z", 4_107_542_400_000),
        ])
    func `known moments are written as RFC 3339`(_ text: String, _ milliseconds: Int) {
        #expect(Instant(milliseconds: milliseconds).description == text)
    }

    @Test(
        arguments: [
            ("1970-01-01T00:00:01Z", 1000), ("1970-01-01T00:00:00.5Z", 500), ("1970-01-01T00:00:00.05Z", 50),
            ("1970-01-01T00:00:00.123456Z", 123),
        ])
    func `a fraction of a second may have any length`(_ text: String, _ milliseconds: Int) {
        #expect(Instant(text) == Instant(milliseconds: milliseconds))
    }

    @Test(
        arguments: [
            "", "2026-01-31", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-32T00:00:00Z",
            "2026-01-31T24:00:00Z", "2026-01-31T00:60:00Z", "2026-01-31T00:00:00", "2026-01-31T00:00:00.Z",
            "2026-01-31T00:00:00+01:00", "2026/01/31T00:00:00Z", "2026-01-31T00:00:00.1x3Z",
            "+026-01-31T00:00:00Z",
        ])
    func `what is not a moment in UTC is refused`(_ text: String) { #expect(Instant(text) == nil) }

    @Test func `spans lie between instants`() {
        let start = Instant(milliseconds: 5)
        #expect((start + .seconds(2)) - start == .seconds(2))
        #expect(start < start + .milliseconds(1))
    }
}
