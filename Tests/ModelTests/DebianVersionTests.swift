import Foundation
import TestKit
import Testing

@testable import Model

@Suite struct DebianVersionTests {
    /// In their order; those in one row are equal.
    private static let ascending = [
        ["1.0~~"], ["1.0~~a"], ["1.0~"], ["1.0~rc1-1", "1.0~rc01-1"], ["1.0", "1.0-0", "0:1.0", "1.00"],
        ["1.0-1"], ["1.0-1+b1"], ["1.0-1.1"], ["1.0-10"], ["1.0a"], ["1.0+dfsg-1"], ["1.0.1"], ["1.9"],
        ["1.10"],
        ["99999999999999999999999"], ["1:0.1"], ["2:0~"],
    ]

    @Test func `versions are ordered as deb-version(7) says`() {
        for (place, row) in Self.ascending.enumerated() {
            for (other, columns) in Self.ascending.enumerated() {
                for (left, right) in row.flatMap({ one in columns.map { (one, $0) } }) {
                    let (one, two) = (DebianVersion(left), DebianVersion(right))
                    #expect((one < two) == (place < other), "\(left) \(right)")
                    #expect((one == two) == (place == other), "\(left) \(right)")
                }
            }
        }
    }

    @Test func `dpkg orders drawn versions the same way`() throws {
        var generator = SeededGenerator(seed: 7)
        func draw(_ count: Int) -> Int { Int.random(in: 0..<count, using: &generator) }
        let signs = Array("0123456789.+~abz")
        func version() -> String {
            let text = String((0..<(1 + draw(5))).map { _ in signs[draw(signs.count)] })
            return (draw(3) == 0 ? "1:" : "") + "\(draw(3))" + text + (draw(2) == 0 ? "-\(draw(12))" : "")
        }
        var script = ""
        var expected: [String] = []
        for _ in 0..<400 {
            let (one, two) = (version(), version())
            script += "dpkg --compare-versions '\(one)' lt '\(two)' && echo '\(one) < \(two)' || "
            script +=
                "{ dpkg --compare-versions '\(one)' eq '\(two)' && echo '\(one) = \(two)' || echo '\(one) > \(two)'; }\n"
            let (left, right) = (DebianVersion(one), DebianVersion(two))
            expected.append("\(one) \(left < right ? "<" : left == right ? "=" : ">") \(two)")
        }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", script]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(output.split(separator: "\n").map(String.init) == expected)
    }
}
