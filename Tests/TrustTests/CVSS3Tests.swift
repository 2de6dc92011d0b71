import Model
import Testing
import Trust

@Suite struct CVSS3Tests {
    /// From FIRST's examples (CVSS v3.1 Examples) and from the published scores of well-known faults.
    static let published: [(String, Int, Severity)] = [
        // CVE-2013-1937, phpMyAdmin
        ("CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61, .medium),
        // CVE-2013-0375, MySQL
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:L/I:L/A:N", 64, .medium),
        // CVE-2014-3566, POODLE
        ("CVSS:3.1/AV:N/AC:H/PR:N/UI:R/S:U/C:L/I:N/A:N", 31, .low),
        // CVE-2012-1516, VMware
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:C/C:H/I:H/A:H", 99, .critical),
        // CVE-2009-0783, Tomcat
        ("CVSS:3.1/AV:L/AC:L/PR:H/UI:N/S:U/C:L/I:L/A:L", 42, .medium),
        // CVE-2012-0384, Cisco IOS
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 88, .high),
        // CVE-2014-0160, Heartbleed
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75, .high),
        // CVE-2014-6271, Shellshock
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98, .critical),
        // CVE-2014-9253, DokuWiki
        ("CVSS:3.1/AV:N/AC:L/PR:L/UI:R/S:C/C:L/I:L/A:N", 54, .medium),
        // CVE-2016-1645, Chrome
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H", 88, .high),
        // CVE-2021-44228 and CVE-2024-3094: Log4j, xz
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", 100, .critical),
        // CVE-2016-5195, Dirty COW
        ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", 78, .high),
        ("CVSS:3.1/AV:P/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N", 16, .low),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", 0, .low),
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:N/I:N/A:N", 0, .low),
        // Temporal metrics say nothing of the base.
        ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C", 98, .critical),
    ]

    @Test(arguments: published.indices)
    func `published vectors have their published scores`(row: Int) throws {
        let (vector, tenths, severity) = Self.published[row]
        let score = try CVSS3(vector: vector)
        #expect(score.tenths == tenths)
        #expect(score.severity == severity)
    }

    @Test(arguments: [
        "", "9.8", "CVSS:3.1", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N",
        "AV:N/AC:L/Au:N/C:P/I:P/A:P", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H",
        "CVSS:3.1/AV:X/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/A:N",
        "CVSS:3.1/AV:N//AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "cvss:3.1/av:n/ac:l/pr:n/ui:n/s:u/c:h/i:h/a:h",
    ])
    func `what is no vector of version 3 has no score`(_ text: String) {
        #expect(throws: Failure.self) { try CVSS3(vector: text) }
    }
}
