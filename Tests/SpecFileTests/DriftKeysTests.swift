import Model
import Testing

@testable import SpecFile

@Suite struct DriftKeysTests {
    private static let base = """
        kiln: 1
        service: hello
        image: {distribution: debian/bookworm, packages: [libc6], command: [/bin/true]}
        run: {port: 80}

        """

    private func spec(_ lines: String) throws -> Spec {
        try SpecFile.parse(DriftKeysTests.base + lines, file: "kiln.yaml")
    }

    @Test func `one word is a mode, and nothing is no setting`() throws {
        #expect(try spec("").drift == nil)
        #expect(try spec("").repave == nil)
        #expect(try spec("drift: alert").drift == DriftSettings(mode: .alert))
        #expect(try spec("drift: {mode: off}").drift == DriftSettings(mode: .off))
    }

    @Test func `an exception names a kind, a reason and a day`() throws {
        let text = "drift: {except: [{kind: network, mode: alert, reason: a week, until: 2027-01-31}]}"
        let exception = try #require(try spec(text).drift?.exceptions.first)
        #expect(exception.kind == .network)
        #expect(exception.mode == .alert)
        #expect(exception.until == Instant("2027-01-31T00:00:00Z"))
    }

    @Test func `ages, windows and freezes are read`() throws {
        let repave = try #require(
            try spec(
                """
                max-age: 7d
                maintenance: [{days: [sat, sun], from: 22:00, to: 04:30}, {from: "00:00", to: 24:00}]
                freeze: [{from: 2026-12-20, until: 2027-01-03, reason: the holidays}]
                """
            ).repave)
        #expect(repave.maxAge == .seconds(7 * 86_400))
        #expect(
            repave.maintenance == [
                MaintenanceWindow(days: [.saturday, .sunday], from: 22 * 60, to: 4 * 60 + 30),
                MaintenanceWindow(from: 0, to: 1440),
            ])
        #expect(repave.freezes.first?.reason == "the holidays")
        #expect(repave.freeze(at: try #require(Instant("2027-01-02T23:59:59Z"))) != nil)
        #expect(repave.freeze(at: try #require(Instant("2027-01-03T00:00:00Z"))) == nil)
    }

    @Test(arguments: [
        ("drift: sometimes", "the choices are replace, alert and off"),
        ("drift: {except: [{kind: netwrk, mode: alert, reason: a, until: 2027-01-31}]}", "network"),
        (
            "drift: {except: [{kind: host, mode: alert, reason: a, until: 2027-01-31}]}",
            "the choices are image"
        ),
        ("drift: {except: [{kind: network, mode: alert, until: 2027-01-31}]}", "reason"),
        (
            "drift: {except: [{kind: network, mode: alert, reason: a, until: 2027-01-31}, "
                + "{kind: network, mode: off, reason: b, until: 2027-01-31}]}", "twice"
        ),
        ("maintenance: [{from: 02:00, to: 03:00}]", "max-age"),
        ("max-age: 10s", "max-age"),
        ("max-age: 7d\nmaintenance: [{from: 25:00, to: 03:00}]", "time of day"),
        ("max-age: 7d\nmaintenance: [{from: 2, to: 03:00}]", "time of day"),
        ("freeze: [{from: 2027-01-03, until: 2026-12-20, reason: a}]", "ends before it begins"),
        ("freeze: [{from: 2027-02-30, until: 2027-03-20, reason: a}]", "a day is needed"),
    ])
    func `a slip is told with what to write`(lines: String, said: String) throws {
        do {
            _ = try spec(lines)
            Issue.record("it was taken")
        } catch {
            let text = Failure.list(error).map(\.description).joined(separator: "\n")
            #expect(text.contains(said), "\(text)")
        }
    }
}
