import Foundation
package import Model

/// The registry that Debian ships, on a port and in a folder of its own, gone with this object.
package final class DockerRegistry: Sendable {
    package static let program = "/usr/bin/docker-registry"
    package static let isInstalled =
        [program, "/usr/bin/skopeo", "/usr/bin/openssl"].allSatisfy(FileManager.default.isExecutableFile)
    private static let looks = 6000

    package let folder: TemporaryFolder
    package let address: String
    private let process: Running

    private final class Running: @unchecked Sendable {
        // Unchecked: started once, then only stopped.
        let process: Process
        init(_ process: Process) { self.process = process }
    }

    /// - Parameter isSecure: with a certificate for `localhost` that an authority of the test's own signed
    package init(isSecure: Bool = false) async throws {
        folder = try TemporaryFolder()
        let path = folder.path
        let port = UInt16(freePort())
        address = "\(isSecure ? "localhost" : "127.0.0.1"):\(port)"
        var tls = ""
        if isSecure {
            try DockerRegistry.certificates(path)
            tls = "\n  tls: {certificate: \(path)/server.pem, key: \(path)/server.key}"
        }
        try """
        version: 0.1
        log: {level: error, accesslog: {disabled: true}}
        storage: {filesystem: {rootdirectory: \(path)/registry}}
        http:
          addr: 127.0.0.1:\(port)\(tls)

        """.write(toFile: "\(path)/config.yml", atomically: true, encoding: .utf8)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: DockerRegistry.program)
        process.arguments = ["serve", "\(path)/config.yml"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        self.process = Running(process)
        for _ in 1...DockerRegistry.looks where process.isRunning {
            if DockerRegistry.listens(port) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(.timedOut, "docker-registry does not listen")
    }

    deinit { stop() }

    /// Ends it before its time.
    package func stop() {
        guard process.process.isRunning else { return }
        process.process.terminate()
        process.process.waitUntilExit()
    }

    private static func certificates(_ path: String) throws {
        let made = shell(
            """
            cd '\(path)' && openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=test-authority -days 2 \
              -keyout ca.key -out ca.pem \
            && openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr \
            && printf 'subjectAltName=DNS:localhost' > names \
            && openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
              -extfile names -out server.pem
            """)
        guard made.status == 0 else { throw Failure(.commandFailed, "no certificate: \(made.output)") }
    }

    private static func withSocket<Result>(_ port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>) -> Result)
        -> Result
    {
        let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(file) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body(file, $0) }
        }
    }

    private static let length = socklen_t(MemoryLayout<sockaddr_in>.size)

    private static func listens(_ port: UInt16) -> Bool { withSocket(port) { connect($0, $1, length) == 0 } }
}

/// What skopeo says of images, and does with them.
package enum Skopeo {
    package static func digest(_ place: String) throws -> Digest {
        let said = shell("skopeo inspect --tls-verify=false --format '{{.Digest}}' '\(place)'")
        guard said.status == 0 else { throw Failure(.commandFailed, said.output, at: place) }
        return try Digest(parsing: said.output.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    package static func copy(_ from: String, _ to: String, _ options: String = "") throws {
        let said = shell(
            "skopeo copy \(options) --src-tls-verify=false --dest-tls-verify=false '\(from)' '\(to)'")
        guard said.status == 0 else { throw Failure(.commandFailed, said.output, at: from) }
    }
}
