import Foundation
import Model

/// The real program, as built beside the tests.
struct KilnProgram {
    struct Result {
        var status: Int32
        var output: String
        var errors: String

        func decoded<Value: Decodable>(_ type: Value.Type) throws -> Value {
            try JSONDecoder().decode(type, from: Data(output.utf8))
        }
    }

    static let path: String = {
        let tests = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
        return tests.deletingLastPathComponent().appendingPathComponent("kiln").path
    }()

    static let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// Runs it to its end.
    @discardableResult
    static func run(_ arguments: [String], environment: [String: String] = [:], folder: String? = nil) throws
        -> Result
    {
        try finish(try start(arguments, environment: environment, folder: folder))
    }

    struct Started {
        var process: Process
        var folder: String
    }

    /// `hiding`: a program of this host that it must not find.
    static func start(
        _ arguments: [String], environment: [String: String] = [:], folder: String? = nil,
        hiding hidden: String? = nil
    ) throws -> Started {
        // Files, not pipes: a daemon's children would keep a pipe open.
        let output = NSTemporaryDirectory() + "kiln-output-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: hidden == nil ? path : "/usr/bin/unshare")
        process.arguments = arguments
        if let hidden {
            // What cannot be executed is not there; this process and its children alone see it so.
            let script =
                "file=$(command -v \(hidden)) && { mount --bind /dev/null $file || exit; }; exec \"$0\" \"$@\""
            process.arguments = ["--mount", "/bin/bash", "-c", script, path] + arguments
        }
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        for (name, set) in [("out", \Process.standardOutput), ("err", \Process.standardError)] {
            _ = FileManager.default.createFile(atPath: "\(output)/\(name)", contents: nil)
            process[keyPath: set] = FileHandle(forWritingAtPath: "\(output)/\(name)")
        }
        try process.run()
        return Started(process: process, folder: output)
    }

    static func finish(_ started: Started) throws -> Result {
        started.process.waitUntilExit()
        defer { try? FileManager.default.removeItem(atPath: started.folder) }
        func text(_ name: String) throws -> String {
            String(
                decoding: try Data(contentsOf: URL(fileURLWithPath: "\(started.folder)/\(name)")),
                as: UTF8.self)
        }
        return Result(
            status: started.process.terminationStatus, output: try text("out"), errors: try text("err"))
    }
}

/// Looks until something is so. Bounded: at most two minutes.
func eventually(_ what: String, _ isSo: () throws -> Bool) throws {
    for _ in 1...2400 {
        if try isSo() { return }
        Thread.sleep(forTimeInterval: 0.05)
    }
    throw Failure(.timedOut, "never: \(what)")
}
