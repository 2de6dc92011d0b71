import Foundation
import Model
import WireAPI
import TestKit

/// A folder with a root, and the example site in as many versions as a test wants. Gone when the test is over.
final class Site: @unchecked Sendable {
    let folder: String
    let root: String
    let port: Int
    private var daemon: KilnProgram.Started?

    /// Packages are fetched once for all tests, into a store that each test links from.
    private static let packages: String = {
        let folder = NSTemporaryDirectory() + "kiln-test-packages-\(getpid())"
        atexit_b_remove(folder)
        return folder
    }()

    private let isInMemory: Bool

    /// `inMemory`: on a disk of memory, for tests that make many thousands of files, which some disks are slow at.
    init(inMemory: Bool = false) throws {
        folder = "/tmp/kiln-it-\(UInt32.random(in: 0 ... .max))"
        root = folder + "/r"
        port = freePort()
        isInMemory = inMemory
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if inMemory, shell("mount -t tmpfs -o size=4g,mode=755 kiln-test '\(folder)'").status != 0 {
            throw Failure(.commandFailed, "a disk of memory cannot be mounted", at: folder)
        }
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        try Site.seed(root)
        try copy("hello", as: "v1")
        try copy("hello-v2", as: "v2")
    }

    deinit {
        stop()
        if isInMemory { shell("umount '\(folder)'") }
        shell("rm -rf '\(folder)'")
    }

    /// Copies an example, listening on this site's port.
    func copy(_ example: String, as name: String) throws {
        try FileManager.default.copyItem(
            atPath: "\(KilnProgram.repository)/examples/\(example)", toPath: "\(folder)/\(name)")
        try edit(name) { $0.replacing(#/(?m)^listen:.*$/#, with: "listen: 127.0.0.1:\(self.port)") }
    }

    /// Copies a set of servers, listening on this site's port.
    func copySet(_ name: String) throws {
        try FileManager.default.copyItem(
            atPath: "\(KilnProgram.repository)/Tests/Integration/sets/\(name)", toPath: "\(folder)/\(name)")
        try edit(name) { $0.replacing(#/(?m)^listen:.*$/#, with: "listen: 127.0.0.1:\(self.port)") }
    }

    /// Unpacks a baked image by umoci, and gives its root folder.
    func unpack(_ image: String, into folder: String) throws -> String {
        let layout = folder + "/layout"
        let exported = try kiln("image", "export", image, "--format", "oci-dir", "--to", layout)
        guard exported.status == 0 else { throw Failure(.commandFailed, exported.errors) }
        let index = try String(contentsOfFile: layout + "/index.json", encoding: .utf8)
        let name = index.firstMatch(of: #/ref\.name":"([^"]+)"/#).map { String($0.1) } ?? "latest"
        let unpacked = shell("umoci unpack --image '\(layout):\(name)' '\(folder)/bundle'")
        guard unpacked.status == 0 else { throw Failure(.commandFailed, unpacked.output) }
        return folder + "/bundle/rootfs"
    }

    private static let testServer = """
        kiln: 1
        service: hello
        image:
          distribution: debian/bookworm
          packages: [libc6]
          files: [{from: testserver, to: /usr/bin/testserver}]
          command: [/usr/bin/testserver]

        """

    /// A service that runs the test server; `settings`: the rest of its spec, which listens on port 8000.
    func addTestServer(_ name: String, _ settings: String) throws {
        let path = "\(folder)/\(name)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let products = URL(fileURLWithPath: KilnProgram.path).deletingLastPathComponent().path
        try FileManager.default.copyItem(atPath: products + "/testserver", toPath: path + "/testserver")
        let text = (Site.testServer + settings).replacingOccurrences(
            of: "127.0.0.1:8000", with: "127.0.0.1:\(port)")
        try text.write(toFile: path + "/kiln.yaml", atomically: true, encoding: .utf8)
    }

    func edit(_ name: String, _ change: (String) -> String) throws {
        let path = "\(folder)/\(name)/kiln.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        try change(text).write(toFile: path, atomically: true, encoding: .utf8)
    }

    /// A store with the packages in it and nothing else.
    private static func seed(_ root: String) throws {
        if !FileManager.default.fileExists(atPath: packages) {
            let folder = NSTemporaryDirectory() + "kiln-seed-\(getpid())"
            try FileManager.default.copyItem(
                atPath: "\(KilnProgram.repository)/examples/hello", toPath: folder)
            defer { try? FileManager.default.removeItem(atPath: folder) }
            let result = try KilnProgram.run(["bake", "--root", packages, "--file", folder + "/kiln.yaml"])
            guard result.status == 0 else { throw Failure(.commandFailed, result.errors) }
        }
        guard shell("cp -a '\(packages)/store' '\(root)/store'").status == 0 else {
            throw Failure(.commandFailed, "cannot copy the packages")
        }
    }

    // MARK: The daemon

    /// Starts the daemon; `program`: one that it does not find on this host.
    func start(without program: String? = nil, with more: [String] = []) throws {
        daemon = try KilnProgram.start(["serve", "--root", root] + more, hiding: program)
        try eventually("the daemon answers") { try kiln("status").status == 0 }
    }

    var daemonID: Int32? { daemon?.process.processIdentifier }

    /// As the kernel would: no last words.
    func killDaemon() {
        guard let started = daemon else { return }
        kill(started.process.processIdentifier, SIGKILL)
        started.process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: started.folder)
        daemon = nil
    }

    /// Retires what runs and stops the daemon.
    func stop() {
        guard let started = daemon else { return }
        _ = try? kiln("retire", "--all")
        kill(started.process.processIdentifier, SIGTERM)
        started.process.waitUntilExit()
        try? FileManager.default.removeItem(atPath: started.folder)
        daemon = nil
    }

    @discardableResult
    func kiln(_ arguments: String...) throws -> KilnProgram.Result {
        try KilnProgram.run(arguments + ["--root", root])
    }

    @discardableResult
    func deploy(_ name: String, _ more: String...) throws -> KilnProgram.Result {
        try KilnProgram.run(["deploy", "--file", "\(folder)/\(name)/kiln.yaml", "--root", root] + more)
    }

    func status() throws -> ServiceStatus {
        let result = try kiln("status", "hello", "--output", "json")
        guard result.status == 0 else { throw Failure(.commandFailed, result.errors + result.output) }
        return try result.decoded(StatusAnswer.self).services[0]
    }

    /// What a visitor sees: `v1`, `v2`, or nothing.
    func page() -> String {
        let page = shell("curl -s --max-time 60 http://127.0.0.1:\(port)/").output
        return page.firstMatch(of: #/hello (v\d)/#).map { String($0.1) } ?? ""
    }

    /// Whatever of this root still exists on the host outside its folder, and inside it where it should be gone.
    func leftovers() -> [String] {
        var found: [String] = []
        func look(_ what: String, _ command: String) {
            let output = shell(command).output.split(separator: "\n").map(String.init)
            found += output.map { "\(what): \($0)" }
        }
        look("mount", "grep -F '\(folder)/' /proc/self/mountinfo | cut -d' ' -f5")
        look("process", "pgrep -af '\(folder)/' | grep -v pgrep | grep -v 'bash -c' || true")
        look("instance", "ls '\(root)/instances' 2>/dev/null || true")
        look("namespace", "ls '\(root)/netns' 2>/dev/null || true")
        return found
    }
}

/// Removes a folder when the test program ends.
private func atexit_b_remove(_ folder: String) {
    removedAtExit = folder
    atexit { shell("rm -rf '\(removedAtExit)'") }
}

nonisolated(unsafe) private var removedAtExit = ""
