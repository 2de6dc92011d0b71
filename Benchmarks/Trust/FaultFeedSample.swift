import Model

/// A feed as large as Debian's security tracker, made up: what a host reads whenever it was renewed.
enum FaultFeedSample {
    static let bytes = 60_000_000
    static let packages = 200

    static func tracker() -> [UInt8] {
        let releases = ["bullseye", "bookworm", "trixie", "forky", "sid"].map { name in
            #""\#(name)":{"status":"resolved","repositories":{"\#(name)":"1.2-3","\#(name)-security":"1.2-3+u1"},"#
                + #""fixed_version":"1.2-3+u1","urgency":"not yet assigned"}"#
        }.joined(separator: ",")
        let description = String(repeating: "A parser reads past the end of its buffer. ", count: 5)
        var text = Array("{".utf8)
        text.reserveCapacity(bytes + (64 << 10))
        var number = 0
        while text.count < bytes {
            let faults = (1...20).map {
                #""CVE-2026-\#($0)":{"description":"\#(description)","scope":"remote","releases":{\#(releases)}}"#
            }
            text += #"\#(number == 0 ? "" : ",")"package\#(number)":{\#(faults.joined(separator: ","))}"#.utf8
            number += 1
        }
        return text + Array("}".utf8)
    }

    /// Some of those that the feed knows.
    static let installed = (0..<packages).map {
        InstalledPackage(name: "package\($0 * 7)", version: "1.2-3", architecture: "amd64")
    }
}
