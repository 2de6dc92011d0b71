import Model
import Testing

@Suite struct RepaveSettingsTests {
    @Test(arguments: [
        // Monday 2027-03-01 in a window of Monday's night, which ends on Tuesday.
        ("2027-03-01T21:59:59Z", false), ("2027-03-01T22:00:00Z", true), ("2027-03-02T04:59:59Z", true),
        ("2027-03-02T05:00:00Z", false), ("2027-03-02T22:30:00Z", false), ("1969-12-29T23:00:00Z", true),
        ("1969-12-30T01:00:00Z", true), ("1969-12-28T23:00:00Z", false),
    ])
    func `a window may go past midnight`(time: String, isIn: Bool) throws {
        let window = MaintenanceWindow(days: [.monday], from: 22 * 60, to: 5 * 60)
        #expect(window.contains(try #require(Instant(time))) == isIn)
    }

    @Test func `a window of a whole week is always open, minute by minute`() throws {
        let windows = MaintenanceWindow.Day.allCases.map {
            MaintenanceWindow(days: [$0], from: 0, to: 1440)
        }
        let start = try #require(Instant("2027-02-26T00:00:00Z"))
        for minute in stride(from: 0, to: 10 * 1440, by: 7) {
            let now = start + .seconds(minute * 60)
            #expect(windows.count { $0.contains(now) } == 1)
        }
    }

    @Test func `ages differ by name, and none is beyond the limit or below four fifths of it`() throws {
        let limit = Span.seconds(1000)
        let ages = try (1...200).map {
            RepaveSettings().age(limit, of: try InstanceID("hello-r1-\($0)"))
        }
        #expect(ages.allSatisfy { $0 <= limit && $0 >= .seconds(800) })
        #expect(Set(ages).count > 150)
    }
}
