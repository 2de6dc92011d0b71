import Foundation

/// `Tests/TrustTests/checklog`: a program with Go's own packages for notes and logs, as Debian has them. Gone with this
/// object.
package final class GoChecker {
    package static let isThere =
        shell("command -v go && test -d /usr/share/gocode/src/golang.org/x/mod").status == 0

    private struct DoesNotBuild: Error { var output: String }

    private let folder: String

    package init() throws {
        folder = NSTemporaryDirectory() + "kiln-go-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let said = shell(
            """
            export GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE='\(folder)/cache' GOFLAGS=
            go build -o '\(folder)/checklog' '\(tests.path)/TrustTests/checklog/main.go'
            """)
        guard said.status == 0 else { throw DoesNotBuild(output: said.output) }
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    /// A log as files, with `proofs` beside its tiles if those are to be checked too.
    package func check(_ log: String, _ key: String) -> (status: Int32, output: String) {
        shell("'\(folder)/checklog' '\(log)' '\(key)'")
    }

    /// A proof that the bytes in a file are an entry of a log.
    package func check(proof: String, of entry: String, _ key: String) -> (status: Int32, output: String) {
        shell("'\(folder)/checklog' proof '\(proof)' '\(entry)' '\(key)'")
    }
}
