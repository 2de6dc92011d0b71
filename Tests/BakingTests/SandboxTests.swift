import Foundation
import Glibc
import ImageFormat
import Model
import Testing
import TestKit

@testable import Baking

/// A root of one static program, and what commands in it can do. Needs root, crun and busybox.
@Suite(.serialized, .enabled(if: geteuid() == 0)) struct SandboxTests {

    /// A folder with a root in it that belongs to the sandbox's users.
    private struct Bench {
        let folder: TemporaryFolder
        let owners = Sandbox.Owners.ofThisProcess

        init() throws {
            folder = try TemporaryFolder()
            var rows = ["bin", "etc", "proc", "dev", "sys", "run", "tmp"].map {
                (
                    entry: TarEntry(path: $0, kind: .directory, mode: $0 == "tmp" ? 0o1777 : 0o755),
                    content: [UInt8]()
                )
            }
            let program = try HostFiles.read("/bin/busybox", limit: 64 << 20)
            rows.append(
                (TarEntry(path: "bin/busybox", kind: .file, mode: 0o755, size: program.count), program))
            for name in [
                "cat", "chmod", "chown", "dd", "id", "ip", "kill", "ln", "ls", "mkdir", "mknod", "mount",
                "ps", "readlink",
                "sh", "sleep", "umount", "wget", "yes", "hostname", "rm", "head", "tail",
            ] {
                rows.append((TarEntry(path: "bin/\(name)", kind: .symlink, link: "busybox"), []))
            }
            var tree = FileTree()
            try tree.add(try MappedBytes(file: try folder.write("root.tar", PackageMaker.tar(rows))))
            mkdir(root, 0o755)
            try tree.unpack(into: root, ownersFrom: owners.first)
        }

        var root: String { folder.path + "/root" }

        func sandbox(_ script: String, limits: Sandbox.Limits = Sandbox.Limits()) -> Sandbox {
            Sandbox(
                root: root, command: ["/bin/sh", "-c", script],
                environment: ["PATH": "/bin", "MARK": folder.path],
                owners: owners, limits: limits)
        }

        func run(_ sandbox: Sandbox) throws -> SandboxRun.Outcome {
            let work = folder.path + "/work"
            mkdir(work, 0o700)
            defer { FolderWalk.remove(work) }
            return try SandboxRun(folder: work).run(sandbox)
        }

        /// Processes that carry this bench's mark, and mounts below its folder.
        var leftovers: [String] {
            let mark = Array("MARK=\(folder.path)".utf8)
            let processes = HostFiles.names(in: "/proc").filter { name in
                guard Int(name) != nil, let file = fopen("/proc/\(name)/environ", "r") else { return false }
                defer { fclose(file) }
                var bytes = [UInt8](repeating: 0, count: 4096)
                let count = fread(&bytes, 1, bytes.count, file)
                return bytes[..<count].split(separator: 0).contains { $0.elementsEqual(mark) }
            }
            var mounts: [String] = []
            if let file = fopen("/proc/self/mountinfo", "r") {
                defer { fclose(file) }
                var line = [CChar](repeating: 0, count: 8192)
                while fgets(&line, Int32(line.count), file) != nil {
                    let text = String(
                        decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                    if text.contains(folder.path + "/") { mounts.append(text) }
                }
            }
            return processes + mounts
        }
    }

    @Test func `a command's exit code and its output come back, and what it wrote is in its root`() throws {
        let bench = try Bench()
        let outcome = try bench.run(
            bench.sandbox("id -u; hostname; echo no >&2; echo new > /etc/new; chown 7:8 /etc/new; exit 3"))
        #expect(outcome.status == 3)
        #expect(outcome.output == "0\nkiln\nno\n")
        var status = stat()
        #expect(stat(bench.root + "/etc/new", &status) == 0)
        #expect(Int(status.st_uid) == bench.owners.first + 7)
        #expect(Int(status.st_gid) == bench.owners.first + 8)
        #expect(bench.leftovers.isEmpty)
    }

    @Test func `mounts are there in their order, read-only where they are to be`() throws {
        let bench = try Bench()
        let given = try bench.folder.write("given/word", "hello")
        mkdir(bench.folder.path + "/out", 0o755)
        let owner = uid_t(bench.owners.first)
        chown(bench.folder.path + "/out", owner, owner)
        var sandbox = bench.sandbox(
            "cat /run/a/given/word; echo x > /run/a/given/word; echo y > /run/a/file; echo got > /out/result")
        sandbox.mounts = [
            .memory(at: "/run"), .readOnly(HostFiles.parent(of: given), at: "/run/a/given"),
            .readOnly(given, at: "/run/a/file"), .writable(bench.folder.path + "/out", at: "/out"),
        ]
        let outcome = try bench.run(sandbox)
        #expect(outcome.output.hasPrefix("hello"))
        #expect(outcome.output.contains("Read-only"))
        #expect(try HostFiles.read(given, limit: 100) == Array("hello".utf8))
        #expect(try HostFiles.read(bench.folder.path + "/out/result", limit: 100) == Array("got\n".utf8))
        #expect(!HostFiles.exists(bench.root + "/run/a"))
        #expect(bench.leftovers.isEmpty)
    }

    @Test(arguments: [
        "mount -t tmpfs none /tmp", "umount /proc", "mknod /etc/disk b 254 0", "mknod /etc/null c 1 3",
        "echo 1 > /proc/sys/kernel/core_pattern", "echo b > /proc/sysrq-trigger", "hostname other",
        "cat /proc/kcore | head -c 1 | cat | busybox grep -q .", "kill -0 \(getpid())",
        "ip link add x type dummy", "wget -q -T 2 -O - http://192.0.2.1/",
        "wget -q -T 2 -O - http://127.0.0.1/", "chown 70000 /etc",
        "ls /proc/1/root\(#filePath)",
    ])
    func `what reaches beyond the sandbox fails`(script: String) throws {
        let bench = try Bench()
        let outcome = try bench.run(bench.sandbox("if \(script); then echo done; else echo failed; fi"))
        #expect(outcome.output.hasSuffix("failed\n"), "\(outcome.output)")
        #expect(bench.leftovers.isEmpty)
    }

    @Test func `signals to all processes reach none outside, and nothing of the host is to be seen`() throws {
        let bench = try Bench()
        let outcome = try bench.run(
            bench.sandbox("ps | busybox wc -l; ls /proc/1/root/; kill -9 -1; echo alive; busybox ip -o link"))
        #expect(outcome.output.contains("bin\ndev\netc\nproc\nrun\nsys\ntmp\n"), "\(outcome.output)")
        #expect(outcome.output.contains("alive"))
        #expect(outcome.output.split(separator: "\n").filter { $0.contains(": <") }.count <= 1)
        #expect(bench.leftovers.isEmpty)
    }

    /// A script, the limit that it passes, and a word of the failure.
    private static let greedy: [(script: String, limits: Sandbox.Limits, word: String)] = {
        func limits(_ change: (inout Sandbox.Limits) -> Void) -> Sandbox.Limits {
            var limits = Sandbox.Limits()
            change(&limits)
            return limits
        }
        return [
            ("sleep 1000 & sleep 1000", limits { $0.time = .milliseconds(300) }, "within 300ms"),
            ("while :; do :; done", limits { $0.time = .milliseconds(300) }, "within 300ms"),
            ("yes", limits { $0.output = 1 << 20 }, "1M of output"),
            ("f() { f | f & }; while :; do f; sleep 0.1; done", limits { $0.processes = 64 }, "64 processes"),
            ("while :; do tail /dev/zero; done", limits { $0.memory = 64 << 20 }, "64M of memory"),
            (
                "n=0; while :; do n=$((n+1)); dd if=/dev/zero of=/etc/f$n bs=1M count=16 2>/dev/null; done",
                limits { $0.disk = 128 << 20 }, "128M to the disk"
            ),
        ]
    }()

    @Test(arguments: greedy.indices)
    func `whoever takes too much is ended with all that it started, and told which bound it was`(
        index: Int
    ) async throws {
        let (script, limits, word) = SandboxTests.greedy[index]
        let bench = try Bench()
        let found = await failures { _ = try bench.run(bench.sandbox(script, limits: limits)) }
        #expect(found.count == 1)
        #expect(found.first?.message.contains(word) == true, "\(found)")
        #expect(bench.leftovers.isEmpty)
        #expect(!HostFiles.exists(bench.folder.path + "/work"))
    }

    @Test func `a file can grow to the bound of the disk and no further`() throws {
        let bench = try Bench()
        var limits = Sandbox.Limits()
        // Nearly all of it is a hole: what others write meanwhile counts for a disk that loses this much.
        limits.disk = 1 << 30
        let outcome = try bench.run(
            bench.sandbox(
                "dd if=/dev/zero of=/tmp/f bs=1M seek=1020 count=64 2>/dev/null; ls -l /tmp/f", limits: limits
            ))
        #expect(outcome.output.contains(" 1073741824 "), "\(outcome.output)")
    }

    @Test func `a cancelled bake ends its sandbox`() async throws {
        let bench = try Bench()
        let started = DispatchSemaphore(value: 0)
        let task = Task {
            started.signal()
            return await failures { _ = try bench.run(bench.sandbox("sleep 1000 & sleep 1000")) }
        }
        // Not from a task: a sandbox holds its thread, and the threads of tasks may all be held by other tests.
        Thread.detachNewThread {
            started.wait()
            task.cancel()
        }
        #expect(await task.value.map(\.code) == [.cancelled])
        #expect(bench.leftovers.isEmpty)
    }

    @Test func `folders deeper than any path are removed`() throws {
        let bench = try Bench()
        let outcome = try bench.run(
            bench.sandbox(
                "cd /tmp; d=dddddddddddddddddddddddd; n=0; while [ $n -lt 300 ]; do mkdir $d; cd $d; n=$((n+1)); done; echo made"
            ))
        #expect(outcome.output.hasSuffix("made\n"))
        FolderWalk.remove(bench.root)
        #expect(!HostFiles.exists(bench.root))
    }
}
