import Foundation
import Model
import TestKit
import Testing
import Trust

/// Feeds of both forms: what they say of an image, and that nothing in them is lost without a word.
@Suite struct FaultFeedTests {
    private let now = Fixture.now
    private static let liblzma = InstalledPackage(
        name: "liblzma5", version: "5.6.0-1+b1", architecture: "amd64",
        source: .init(name: "xz-utils", version: "5.6.0-1"))
    private static let nginx = InstalledPackage(name: "nginx", version: "1.22.1-9", architecture: "amd64")
    private static let bookworm = ImageDistribution(id: "debian", version: "12")

    private func read(
        _ text: String, _ packages: [InstalledPackage] = [liblzma, nginx],
        _ distribution: ImageDistribution? = bookworm
    ) throws -> FaultFeed {
        try FeedReader(packages: packages, distribution: distribution).read(
            Array(text.utf8), writtenAt: now)
    }

    private func found(
        _ text: String, _ packages: [InstalledPackage] = [liblzma, nginx],
        _ distribution: ImageDistribution? = bookworm
    ) throws -> [String] {
        let feed = try read(text, packages, distribution)
        let verdict = VulnerabilityRule(feed: "", atLeast: .low, unrated: .refuse).verdict(
            on: packages, faults: feed.faults, now: now)
        return verdict.refused.map {
            "\($0.id) \($0.package) \($0.version) \($0.severity.rawValue) → \($0.fixedIn ?? "-")"
        }
    }

    private func said(_ text: String, _ distribution: ImageDistribution? = bookworm) -> String? {
        failure { _ = try read(text, [Self.liblzma], distribution) }.map {
            ($0.place.map { "\($0): " } ?? "") + $0.message
        }
    }

    // MARK: OSV

    private static func osv(
        _ id: String = "DEBIAN-CVE-2024-3094", package: String = "xz-utils", ecosystem: String = "Debian:12",
        events: String = #"[{"introduced":"5.6.0"},{"fixed":"5.6.1+really5.4.5-1"}]"#,
        more: String = "", top: String = ""
    ) -> String {
        #"{"schema_version":"1.7.3","id":"\#(id)","modified":"2026-01-01T00:00:00Z"\#(top),"affected":[{"package":"#
            + #"{"ecosystem":"\#(ecosystem)","name":"\#(package)"},"ranges":[{"type":"ECOSYSTEM","events":\#(events)}]\#(more)}]}"#
    }

    private static let critical =
        #","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H"}]"#

    @Test func `one record, lines of them, a list and an answer say the same`() throws {
        let one = Self.osv(top: Self.critical)
        let other = Self.osv("DEBIAN-CVE-2023-1", package: "curl")
        let expected = [
            "DEBIAN-CVE-2024-3094 liblzma5 5.6.0-1+b1 critical → 5.6.1+really5.4.5-1"
        ]
        for text in [
            one, one + "\n" + other, other + "\n\n" + one + "\n", "[\(one),\(other)]",
            "[\n \(other) , \(one) ]\n",
            #"{"vulns":[\#(one),\#(other)]}"#, #"{ "vulns" : [ \#(other), \#(one) ] } "#,
        ] {
            #expect(try found(text) == expected, "\(text)")
        }
        #expect(try read(one + "\n" + other).records == 2)
    }

    @Test(arguments: [
        (#"[{"introduced":"0"},{"fixed":"5.6.0-1"}]"#, false, nil),
        (#"[{"introduced":"0"},{"fixed":"5.6.0-2"}]"#, true, "5.6.0-2"),
        (#"[{"introduced":"0"}]"#, true, nil),
        (#"[{"introduced":"5.6.0-2"}]"#, false, nil),
        (#"[{"introduced":"0"},{"last_affected":"5.6.0-1"}]"#, true, nil),
        (#"[{"introduced":"0"},{"last_affected":"5.6.0~rc1-1"}]"#, false, nil),
        (#"[{"introduced":"0"},{"fixed":"1:1"}]"#, true, "1:1"),
        // Mended, and broken again; the order of events does not matter.
        (
            #"[{"fixed":"5.6.1-1"},{"introduced":"5.6.0-1"},{"fixed":"5.0"},{"introduced":"0"}]"#, true,
            "5.6.1-1"
        ),
        (#"[{"introduced":"0"},{"fixed":"5.6.0-1"},{"introduced":"5.6.0-1"}]"#, true, nil),
    ])
    func `events are weighed by Debian's order of versions`(
        _ events: String, _ isAffected: Bool, _ fixed: String?
    )
        throws
    {
        let seen = try found(Self.osv(events: events))
        #expect(
            seen
                == (isAffected
                    ? ["DEBIAN-CVE-2024-3094 liblzma5 5.6.0-1+b1 unknown → \(fixed ?? "-")"] : []))
    }

    @Test func `versions that are listed are affected, and a package without any is in all of them`() throws {
        let listed = Self.osv(events: #"[{"introduced":"9"}]"#, more: #","versions":["5.4.0-1","5.6.0-1"]"#)
        #expect(try found(listed).count == 1)
        let others = Self.osv(events: #"[{"introduced":"9"}]"#, more: #","versions":["5.4.0-1"]"#)
        #expect(try found(others) == [])
        let none = Self.osv().replacing("ECOSYSTEM", with: "GIT")
        #expect(try found(none).count == 1)
    }

    @Test func `a record is about one release of a distribution, or about all`() throws {
        #expect(try found(Self.osv(ecosystem: "Debian")).count == 1)
        let both = Self.osv(ecosystem: "Debian:11") + Self.osv("X", package: "curl")
        #expect(try found(both) == [])
        let jammy = ImageDistribution(id: "ubuntu", version: "22.04")
        #expect(try found(Self.osv(ecosystem: "Ubuntu:22.04:LTS"), [Self.liblzma], jammy).count == 1)
    }

    @Test func `the installed version that counts is the source package's`() throws {
        let text = Self.osv(events: #"[{"introduced":"0"},{"fixed":"5.6.0-1+b1"}]"#)
        // The binary was built once more: its source is still the old one.
        #expect(try found(text).count == 1)
        #expect(try found(Self.osv(package: "liblzma5") + Self.osv("X", package: "curl")) == [])
    }

    @Test func `a withdrawn record is none`() throws {
        #expect(try found(Self.osv(top: #","withdrawn":"2026-02-01T00:00:00Z""#)) == [])
        #expect(try found(Self.osv(top: #","withdrawn":null"#)).count == 1)
    }

    @Test(arguments: [
        ("", "", "unknown"), (critical, "", "critical"), ("", critical, "critical"),
        (#","database_specific":{"severity":"MODERATE"}"#, "", "medium"),
        ("", #","ecosystem_specific":{"urgency":"high"}"#, "high"),
        ("", #","ecosystem_specific":{"urgency":"low**"}"#, "low"),
        ("", #","ecosystem_specific":{"urgency":"not yet assigned"}"#, "unknown"),
        ("", #","ecosystem_specific":{"urgency":"end-of-life"}"#, "unknown"),
        (critical, #","ecosystem_specific":{"urgency":"low"}"#, "critical"),
        (#","severity":[{"type":"CVSS_V4","score":"CVSS:4.0/AV:N"}]"#, "", "unknown"),
        (#","severity":[{"type":"Ubuntu","score":"medium"}]"#, "", "medium"),
        // What Debian says is no fault of its packages.
        (critical, #","ecosystem_specific":{"urgency":"unimportant"}"#, nil),
    ])
    func `the worst rating counts`(_ top: String, _ affected: String, _ severity: String?) throws {
        let seen = try found(Self.osv(more: affected, top: top))
        #expect(
            seen
                == (severity.map {
                    ["DEBIAN-CVE-2024-3094 liblzma5 5.6.0-1+b1 \($0) → 5.6.1+really5.4.5-1"]
                } ?? []))
    }

    // MARK: Debian's tracker

    private static func tracker(
        _ status: String, fixed: String? = nil, urgency: String = "high", release: String = "bookworm",
        id: String = "CVE-2024-3094"
    ) -> String {
        let version = fixed.map { #","fixed_version":"\#($0)""# } ?? ""
        return
            #"{"xz-utils":{"\#(id)":{"description":"x","scope":"remote","releases":{"\#(release)":{"status":"\#(status)""#
            + #","repositories":{"\#(release)":"5.6.0-1"}\#(version),"urgency":"\#(urgency)"},"sid":{"status":"open","repositories"#
            + #"":{},"urgency":"high"}}}},"curl":{"CVE-2023-1":{"releases":{"bookworm":{"status":"resolved","repositories":{},"#
            + #""fixed_version":"1","urgency":"low"}}}}}"#
    }

    @Test(arguments: [
        (tracker("resolved", fixed: "5.6.1-1"), "high → 5.6.1-1"),
        (tracker("resolved", fixed: "5.6.0-1"), nil),
        (tracker("resolved", fixed: "0"), nil),
        (tracker("open"), "high → -"),
        (tracker("undetermined", urgency: "not yet assigned"), "unknown → -"),
        (tracker("open", urgency: "end-of-life"), "unknown → -"),
        (tracker("open", urgency: "medium*"), "medium → -"),
        (tracker("open", urgency: "unimportant"), nil),
        (tracker("open", urgency: "word of tomorrow"), "unknown → -"),
        // Open elsewhere only.
        (tracker("open", release: "trixie"), nil),
    ])
    func `each status and urgency of the tracker means what its documentation says`(
        _ text: String, _ expected: String?
    ) throws {
        #expect(
            try found(text) == (expected.map { ["CVE-2024-3094 liblzma5 5.6.0-1+b1 \($0)"] } ?? []))
        #expect(try read(text).records == 2)
    }

    // MARK: Exceptions and limits

    private func verdict(
        _ fault: KnownFault, _ exceptions: [VulnerabilityRule.Exception] = [], atLeast: Severity = .high,
        unrated: VulnerabilityRule.Unrated = .refuseFixed
    ) -> String {
        let rule = VulnerabilityRule(
            feed: "", atLeast: atLeast, unrated: unrated, exceptions: exceptions)
        let verdict = rule.verdict(on: [Self.liblzma], faults: [fault], now: now)
        return !verdict.refused.isEmpty
            ? "refused"
            : !verdict.excepted.isEmpty ? "excepted" : !verdict.tolerated.isEmpty ? "tolerated" : "none"
    }

    private static func fault(_ severity: Severity = .high, aliases: [String] = [], isFixed: Bool = true)
        -> KnownFault
    {
        KnownFault(
            id: "DSA-1-1", aliases: aliases, package: "xz-utils", severity: severity,
            affected: .init(ranges: [[.introduced(nil)] + (isFixed ? [.fixed("9")] : [])]))
    }

    @Test(arguments: Severity.allCases, [Severity.low, .medium, .high, .critical])
    func `what is as bad as the limit or worse is refused`(_ severity: Severity, _ limit: Severity) {
        guard severity != .unknown else { return }
        #expect(
            verdict(Self.fault(severity), atLeast: limit) == (severity >= limit ? "refused" : "tolerated"))
    }

    @Test func `what nobody rated is refused where the rule says so, and never lost`() {
        typealias Unrated = VulnerabilityRule.Unrated
        for (unrated, isFixed, expected) in [
            (Unrated.refuse, true, "refused"), (.refuse, false, "refused"), (.refuseFixed, true, "refused"),
            (.refuseFixed, false, "tolerated"), (.pass, true, "tolerated"), (.pass, false, "tolerated"),
        ] {
            #expect(
                verdict(Self.fault(.unknown, isFixed: isFixed), atLeast: .critical, unrated: unrated)
                    == expected)
        }
    }

    private func exception(_ id: String, _ package: String? = nil, until: Span = .seconds(60))
        -> VulnerabilityRule.Exception
    {
        VulnerabilityRule.Exception(id: id, package: package, until: now + until, reason: "not reached")
    }

    @Test func `an exception lets its own fault pass in its own package, until it ends`() {
        #expect(verdict(Self.fault(), [exception("DSA-1-1")]) == "excepted")
        for package in ["xz-utils", "liblzma5"] {
            #expect(verdict(Self.fault(), [exception("DSA-1-1", package)]) == "excepted")
        }
        #expect(verdict(Self.fault(), [exception("DSA-1-1", "nginx")]) == "refused")
        #expect(verdict(Self.fault(), [exception("DSA-2-1")]) == "refused")
        #expect(verdict(Self.fault(), [exception("DSA-1-1", until: .zero)]) == "refused")
        #expect(verdict(Self.fault(), [exception("DSA-1-1", until: .milliseconds(1))]) == "excepted")
    }

    @Test func `a record that stands for several faults passes only with all of them`() {
        let one = Self.fault(aliases: ["CVE-1", "GHSA-1"])
        #expect(verdict(one, [exception("CVE-1")]) == "excepted")
        #expect(verdict(one, [exception("GHSA-1")]) == "excepted")
        let two = Self.fault(aliases: ["CVE-1", "CVE-2"])
        #expect(verdict(two, [exception("CVE-1")]) == "refused")
        #expect(verdict(two, [exception("CVE-1"), exception("CVE-2")]) == "excepted")
        #expect(verdict(two, [exception("CVE-1"), exception("CVE-2", until: .zero)]) == "refused")
    }

    // MARK: What cannot be believed

    @Test(arguments: [
        ("", "byte 0: it is empty"), ("[]", "it holds no record"), ("{}", "byte 0: a record has no id"),
        (#"{"vulns":[]}"#, "it holds no record"), ("null", "byte 0: a record is expected"),
        (#"[{"affected":[]}]"#, "byte 1: a record has no id"),
        (
            #"{"vulns":[],"next_page_token":"x"}"#,
            "byte 30: it is the first page of several, and faults on the others are missing"
        ),
        (osv() + "]", "byte \(osv().utf8.count): a record is expected"),
        ("[\(osv())", "byte \(osv().utf8.count + 1): it is cut off"),
        (osv(events: "[]"), "byte 0: the record DEBIAN-CVE-2024-3094 has a range that begins nowhere"),
        (
            osv(events: #"[{"introduced":"0"},{"mended":"1"}]"#),
            "byte 0: the record DEBIAN-CVE-2024-3094 has an event of the unknown kind \"mended\""
        ),
        (
            osv(events: #"[{"introduced":0}]"#),
            "byte 0: the record DEBIAN-CVE-2024-3094 has an event that cannot be read"
        ),
        (
            osv(events: "{}"),
            "byte 0: the record DEBIAN-CVE-2024-3094 has something else where a list belongs"
        ),
        (
            osv(top: #","severity":[{"type":"CVSS_V3","score":9.8}]"#),
            "byte 0: the record DEBIAN-CVE-2024-3094 has a severity that cannot be read"
        ),
        (
            osv(top: #","severity":[{"type":"CVSS_V3","score":"9.8"}]"#),
            "byte 0: \"9.8\" is no vector of CVSS 3"
        ),
        (
            osv(top: #","aliases":["a"],"aliases":["b"]"#),
            "byte 0: the JSON document cannot be read: the key \"aliases\" occurs twice"
        ),
        (osv(ecosystem: "Debian:11"), "it says nothing of debian 12, and speaks of Debian:11"),
        (
            tracker("postponed"),
            "byte 29: the fault CVE-2024-3094 of xz-utils has the unknown status \"postponed\""
        ),
        (
            tracker("resolved"),
            "byte 29: the fault CVE-2024-3094 of xz-utils is resolved, and no version says where"
        ),
        (tracker("open") + "x", "byte \(tracker("open").utf8.count): something follows its end"),
        (#"{"xz-utils":{},"xz-utils":{}}"#, "byte 0: a record has no id"),
    ])
    func `a feed that cannot be believed is refused with a place`(_ text: String, _ expected: String) {
        #expect(said(text) == expected)
    }

    @Test func `packages and faults of the tracker that occur twice are refused`() {
        let one = Self.tracker("open")
        let twice = one.dropLast() + "," + one.dropFirst()
        #expect(said(String(twice))?.hasSuffix("the package xz-utils occurs twice") == true)
        let fault = Self.tracker("open").replacing(#""curl":{"#, with: #""xz-\u0075tils":{"#)
        #expect(said(fault)?.hasSuffix("the package xz-utils occurs twice") == true)
        let faults = #"{"xz-utils":{"CVE-1":{"releases":{}},"CVE-1":{"releases":{}}}}"#
        #expect(said(faults)?.hasSuffix("the fault CVE-1 of xz-utils occurs twice") == true)
    }

    @Test func `a feed of another distribution says nothing of the image`() {
        let jammy = ImageDistribution(id: "ubuntu", version: "22.04")
        #expect(
            said(Self.tracker("open"), jammy)
                == "it says nothing of ubuntu 22.04, and speaks of bookworm, sid")
        let unknown = "the image does not say of which distribution and release its packages are"
        #expect(said(Self.tracker("open"), nil) == unknown)
        #expect(said(Self.osv(), ImageDistribution(id: "debian", version: "")) == unknown)
    }

    @Test func `depth, numbers and texts are bounded`() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(said(deep)?.contains("a record is expected") == true)
        #expect(said(Self.osv(top: #","x":"# + deep))?.hasSuffix("it is nested too deeply") == true)
        let huge = String(repeating: "9", count: 10_000)
        #expect(said(Self.osv(top: #","x":-\#(huge).\#(huge)e+\#(huge)"#)) == nil)
        for number in ["01", "1.", "-", "1e", "+1", ".5", "NaN", "0x1"] {
            #expect(said(Self.osv(package: "curl", top: #","x":\#(number)"#)) != nil, "\(number)")
        }
        let long = String(repeating: "a", count: 5000)
        #expect(said(#"{"\#(long)":{}}"#)?.hasSuffix("a text is too long") == true)
        #expect(
            said(Self.osv(package: "curl", top: ",\"x\":\"\n\""))?.hasSuffix("holds a control character")
                == true)
    }

    @Test(arguments: [
        #""name":"xz-utils","name":"curl""#, #""name":"curl","name":"xz-utils""#,
        #""name":"curl","n\u0061me":"xz-utils""#, #""na":"xz-utils""#, #""name":null"#,
        #""name":["xz-utils"]"#,
    ])
    func `a record in which another reader would find another package is refused`(_ members: String) {
        #expect(said(Self.osv().replacing(#""name":"xz-utils""#, with: members)) != nil)
    }

    @Test func `what is not where it belongs is refused, wherever the fault would be lost by it`() throws {
        let whole = Self.osv(
            more: #","versions":["1"],"ecosystem_specific":{"urgency":"high"}"#,
            top: Self.critical + #","aliases":["CVE-2024-3094"],"database_specific":{"severity":"HIGH"}"#)
        let root = try JSONValue(parsing: Array(whole.utf8))
        let expected = try found(whole).first?.prefix { $0 != ">" }
        var (refused, same) = (0, 0)
        for path in paths(root) {
            for wrong in [JSONValue.number(5), .bool(true), .object([:]), .null, .array([.number(1)])] {
                let text = String(decoding: replacing(root, path[...], wrong).bytes, as: UTF8.self)
                do {
                    let seen = try found(text)
                    // Without the fix, the other rating or the other name it is the same fault.
                    #expect(seen.count == 1 && seen[0].contains("liblzma5"), "\(path): \(wrong), \(seen)")
                    same += 1
                } catch {
                    refused += 1
                }
            }
        }
        #expect(refused > 50 && same > 10 && expected != nil, "\(refused), \(same)")
    }

    /// Every place in a value, as the keys that lead there.
    private func paths(_ value: JSONValue) -> [[String]] {
        switch value {
        case .object(let members):
            members.sorted { $0.key < $1.key }.flatMap { key, value in
                [[key]] + paths(value).map { [key] + $0 }
            }
        case .array(let elements):
            elements.enumerated().flatMap { index, value in
                [["\(index)"]] + paths(value).map { ["\(index)"] + $0 }
            }
        default: []
        }
    }

    private func replacing(_ value: JSONValue, _ path: ArraySlice<String>, _ new: JSONValue) -> JSONValue {
        guard let key = path.first else { return new }
        switch value {
        case .object(var members):
            members[key] = replacing(members[key]!, path.dropFirst(), new)
            return .object(members)
        case .array(var elements):
            elements[Int(key)!] = replacing(elements[Int(key)!], path.dropFirst(), new)
            return .array(elements)
        default: return value
        }
    }

    @Test(arguments: 1...4)
    func `a feed that was cut off is never believed, and one that was changed never crashes the reader`(
        _ seed: UInt64
    ) throws {
        var random = SeededGenerator(seed: seed)
        let sources = [
            Self.osv(top: Self.critical),
            "[\(Self.osv("A", package: "curl")),\(Self.osv(top: Self.critical))]",
            Self.tracker("open"), Self.tracker("resolved", fixed: "9"),
        ].map { Array($0.utf8) }
        let reader = try FeedReader(packages: [Self.liblzma], distribution: Self.bookworm)
        var refused = 0
        for round in 0..<5000 {
            let source = sources[round % sources.count]
            var bytes = source
            if round.isMultiple(of: 2) {
                // Cut off: never believed.
                bytes = Array(source.prefix(Int.random(in: 0..<source.count, using: &random)))
                #expect(throws: Failure.self) { try reader.read(bytes, writtenAt: Fixture.now) }
                refused += 1
                continue
            }
            for _ in 1...Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 30)], at: place)
                }
            }
            do {
                let feed = try reader.read(bytes, writtenAt: Fixture.now)
                #expect(feed.records > 0)
            } catch {
                #expect(error is Failure, "\(error)")
                refused += 1
            }
        }
        #expect(refused > 3000, "\(refused)")
    }
}
