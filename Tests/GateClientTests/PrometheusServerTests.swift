import Foundation
import Model
import NIOCore
import NIOPosix
import TestKit
import Testing

@testable import GateClient

/// A Prometheus of its own, where one is installed.
private final class PrometheusServer {
    static let program = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/prometheus" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    let url: String
    private let process = Process()
    private let folder = NSTemporaryDirectory() + "kiln-prometheus-\(UUID().uuidString)"

    init() async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try "global: {}\n".write(toFile: folder + "/empty.yml", atomically: true, encoding: .utf8)
        let port = freePort()
        url = "http://127.0.0.1:\(port)"
        process.executableURL = URL(filePath: PrometheusServer.program!)
        process.arguments = [
            "--config.file=\(folder)/empty.yml", "--storage.tsdb.path=\(folder)/data",
            "--web.listen-address=127.0.0.1:\(port)",
        ]
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
    }

    deinit {
        process.terminate()
        process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: folder)
    }
}

@Suite(.enabled(if: PrometheusServer.program != nil)) struct PrometheusServerTests {
    private static let looks = 3000

    @Test(.timeLimit(.minutes(60))) func `a real Prometheus is understood`() async throws {
        let server = try await PrometheusServer()
        func ask(_ query: String, least: Int? = nil, most: Int? = nil) async throws -> String {
            let metric = MetricQuery(server: server.url, query: query, least: least, most: most)
            let check = try GateCheck.of(.query(metric))
            return try await withGates { await $0.ask(check).text }.replacing(server.url, with: "SERVER")
        }
        for _ in 1...PrometheusServerTests.looks where try await !ask("vector(1)").hasPrefix("passed") {
            try await Task.sleep(for: .milliseconds(100))
        }
        #expect(try await ask("vector(0.25)", most: 250) == "passed: vector(0.25) at SERVER is 0.25")
        #expect(
            try await ask("vector(2) * 3", most: 5500)
                == "failed: vector(2) * 3 at SERVER is 6.0; at most 5.5 is allowed")
        #expect(try await ask("scalar(vector(7))", least: 7000).hasPrefix("passed"))
        #expect(try await ask("vector(0) / 0").hasSuffix("is not a number"))
        #expect(try await ask("vector(1) / 0", most: 1).hasPrefix("failed"))
        #expect(try await ask("nothing{a=\"b\"}") == "unanswered: nothing{a=\"b\"} at SERVER has no data")
        let two = #"vector(1) or label_replace(vector(1), "a", "b", "", "")"#
        #expect(try await ask(two).contains("2 values"))
        #expect(try await ask("sum(").contains("parse error"))
    }
}
