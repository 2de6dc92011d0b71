import Foundation
import Testing
import TestKit

/// Ctrl-C while a program that kiln started waits for somebody who never answers.
extension OnThisHost {
    @Suite struct InterruptTests {
        /// A port that takes connections and says nothing.
        private static func silentPort() throws -> (port: Int, socket: Int32) {
            let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let isOpen = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(listener, $0, size) == 0 && listen(listener, 8) == 0
                        && getsockname(listener, $0, &size) == 0
                }
            }
            try #require(listener >= 0 && isOpen)
            return (Int(UInt16(bigEndian: address.sin_port)), listener)
        }

        @Test(arguments: ["lock", "bake"])
        func `git ends with the verb that asked it, when that is interrupted`(verb: String) throws {
            let (port, listener) = try Self.silentPort()
            defer { close(listener) }
            let folder = NSTemporaryDirectory() + "kiln-interrupt-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let spec = """
                kiln: 1
                service: web
                image:
                  distribution: debian/bookworm
                  packages: [base-files]
                  files: [{git: "http://127.0.0.1:\(port)/x.git", ref: v1, to: /srv}]
                  command: [sh]
                run: {port: 80}
                """
            try spec.write(toFile: folder + "/kiln.yaml", atomically: true, encoding: .utf8)
            func isAsking() -> Bool {
                shell("pgrep -f '[g]it.*127.0.0.1:\(port)/x.git'").output.isEmpty == false
            }
            let started = try KilnProgram.start([verb, "--root", folder + "/root"], folder: folder)
            try eventually("git asks") { isAsking() }
            kill(started.process.processIdentifier, SIGINT)
            #expect(try KilnProgram.finish(started).status == 1)
            try eventually("git has ended") { !isAsking() }
        }
    }
}
