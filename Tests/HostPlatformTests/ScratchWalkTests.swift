import Foundation
import Glibc
import Model
import Testing

@testable import HostPlatform

@Suite struct ScratchWalkTests {
    private let folder = NSTemporaryDirectory() + "kiln-scratch-\(UUID().uuidString)"

    private func walked(_ script: String) throws -> [String: JSONValue] {
        try FileManager.default.createDirectory(
            atPath: folder + "/run", withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let made = try ProcessRunner().runNow(
            Command("/bin/sh", ["-ec", "cd \(folder)/run; \(script)"]), limit: .seconds(300))
        #expect(made.status == 0, "\(made.errors)")
        var walk = ScratchWalk(root: folder)
        walk.visit("/run")
        return Dictionary(
            walk.files.map { ($0["path"]?.text ?? "", $0) }, uniquingKeysWith: { $1 })
    }

    @Test func `files are told with their hash, links with their target, and nothing else is opened`() throws
    {
        let files = try walked(
            "mkdir a; echo hi > a/x; ln -s /etc/shadow y; ln -s /etc z; mkfifo pipe; truncate -s 20M large")
        // SHA-256 of "hi\n".
        #expect(
            files["/run/a/x"]?["sha256"]?.text
                == "98ea6e4f216f2fb4b69fff9b3a44842c38686ca685f3f55dc48c5d3fb1107be4")
        #expect(files["/run/y"]?["link"]?.text == "/etc/shadow")
        #expect(files["/run/z"]?["link"]?.text == "/etc")
        #expect(files["/run/pipe"] != nil)
        #expect(files["/run/large"] != nil && files["/run/large"]?["sha256"] == nil)
        #expect(files.count == 5)
    }

    @Test func `a flood of folders or files is told in part, and costs little`() throws {
        #expect(try walked("seq 30000 | xargs mkdir").isEmpty)
        #expect(try walked("seq 3000 | xargs touch").count == 500)
    }

    @Test func `a mount that is a link by now is not entered`() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        symlink("/etc", folder + "/run")
        var walk = ScratchWalk(root: folder)
        walk.visit("/run")
        walk.visit("/nowhere/at/all")
        walk.visit("/")
        #expect(walk.files.isEmpty)
    }
}
