import Foundation
import Model
import Ports
import Storage
import Trust

/// A ledger of a million entries on disk. What is measured runs in a process of its own, so that the memory that it
/// needed is its alone.
enum LedgerBenchmark {
    static let entries = 1_000_000
    static let batch = 100
    static let singles = 201

    /// Like those of a host with a few hundred services.
    private static func entry(_ number: Int) -> LedgerEntry {
        let key = ServiceKey(try! ServiceName("service-\(number / 7 % 300)"))
        let release = ReleaseNumber(number / 40_000 + 1)
        return LedgerEntry(
            LedgerEntry.Kind.allCases[number % LedgerEntry.Kind.allCases.count],
            "what was done, in a sentence",
            at: TrustBenchmark.now + .milliseconds(number), by: "uid:1000", service: key, release: release,
            instance: InstanceID(key, release: release, ordinal: number / 4),
            image: Digest.sha256(of: Array("image \(number / 500)".utf8)),
            evidence: number % 4 == 0 ? Digest.sha256(of: Array("evidence \(number)".utf8)) : nil,
            details: ["step": "launch", "plan": "\(number)"])
    }

    /// Runs this program again for one part, and returns what it printed.
    static func part(_ name: String, _ folder: String) throws -> [(name: String, value: Double)] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        process.arguments = [name, folder]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        precondition(process.terminationStatus == 0, "\(name) failed")
        return String(decoding: data, as: UTF8.self).split(separator: "\n").map { line in
            let words = line.split(separator: "=")
            return (String(words[0]), Double(words[1])!)
        }
    }

    static func run(_ part: String, _ folder: String) async throws {
        let path = folder + "/kiln.db"
        let clock = ContinuousClock()
        func put(_ name: String, _ value: Double) { print("\(name)=\(value)") }
        switch part {
        case "append":
            let ledger = try LedgerFile(path)
            let all = (0..<entries).map(entry)
            let time = try await clock.measure {
                for first in stride(from: 0, to: entries, by: batch) {
                    try await ledger.append(Array(all[first..<first + batch]))
                }
            }
            put("ledger appends a second", Double(entries) / time.seconds)
        case "single":
            let ledger = try LedgerFile(path)
            var times: [Double] = []
            for number in 0..<singles {
                let entry = entry(entries + number)
                times.append(try await clock.measure { _ = try await ledger.append([entry]) }.seconds)
            }
            put("ledger single append", times.sorted()[singles / 2] * 1000)
            put("ledger slowest single append", times.max()! * 1000)
            let many = try await clock.measure {
                try await withThrowingTaskGroup { group in
                    for number in 0..<2000 { group.addTask { try await ledger.append([entry(number)]) } }
                    for try await _ in group {}
                }
            }
            put("ledger grouped appends a second", 2000 / many.seconds)
        case "prove":
            let ledger = try LedgerFile.reading(path)
            let size = try ledger.head().size
            var (inclusions, consistencies): ([Double], [Double]) = ([], [])
            for round in 0..<singles {
                let entry = (size / singles * round + 77) % size
                inclusions.append(
                    try clock.measure { _ = try ledger.inclusion(of: entry, size: size) }.seconds)
                consistencies.append(
                    try clock.measure { _ = try ledger.consistency(from: entry, to: size) }.seconds)
            }
            put("ledger prove inclusion", inclusions.sorted()[singles / 2] * 1000)
            put("ledger slowest inclusion", inclusions.max()! * 1000)
            put("ledger prove consistency", consistencies.sorted()[singles / 2] * 1000)
        case "verify":
            let ledger = try LedgerFile.reading(path)
            var report: LedgerReport?
            let time = try clock.measure { report = try ledger.verify() }
            precondition(report?.problem == nil, "an untouched ledger is whole")
            put("ledger verify", time.seconds * 1000)
            let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") }!
            put("ledger verify peak MB", Double(peak.split(separator: " ").dropLast().last!)! / 1024)
            let size = try FileManager.default.attributesOfItem(atPath: path)[.size] as! Int
            put("ledger bytes an entry", Double(size) / Double(entries))
        default: preconditionFailure("there is no such part")
        }
    }
}

extension Duration {
    fileprivate var seconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1_000_000_000_000_000_000
    }
}
