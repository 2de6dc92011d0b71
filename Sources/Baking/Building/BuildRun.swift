import Glibc
import ImageFormat
import Model
import Ports

/// One run of a build step: its root is written to a temporary folder, its command runs in a sandbox over it, and its
/// results are read out. Nothing of it is left afterwards.
struct BuildRun {
    let step: BuildStep
    let secrets: [BuildSecret]
    /// Layers of the root, lowest first.
    let layers: [ImageLayer]
    /// What is read out, as of `BuildResult`.
    let wanted: [String]
    let store: any ImageStore

    private enum Limit {
        /// Lines of the output that a failure shows.
        static let shownLines = 20
        static let layerBytes = 64 << 30
        static let processes = 4096
        static let output = 256 << 20
        static let openFiles = 65_536
    }

    /// Gives the digest of a tar of the results, which is in the store by then.
    func run() throws -> Digest {
        let folder = try store.temporaryPath()
        guard mkdir(folder, 0o700) == 0 else {
            throw HostFiles.failure(errno, "the folder cannot be made", at: folder)
        }
        defer { FolderWalk.remove(folder) }
        let owners = Sandbox.Owners.ofThisProcess
        let root = folder + "/root"
        try HostFiles.makeFolder(root)
        try tree().unpack(into: root, ownersFrom: owners.first)
        let work = folder + "/run"
        try HostFiles.makeFolder(work)
        try Task.checkCancellation()
        let outcome = try SandboxRun(folder: work).run(try sandbox(root, folder, owners))
        guard outcome.status == 0 else { throw failed(outcome) }
        let result = BuildResult(root: root, firstOwner: owners.first, secrets: secrets)
        let tar = try store.temporaryPath()
        defer { unlink(tar) }
        try result.write(wanted, to: tar)
        let digest = try MappedBytes(file: tar).withBytes { Digest.sha256($0) }
        try store.adopt(tar, as: digest)
        return digest
    }

    private func tree() throws -> FileTree {
        var tree = FileTree()
        for layer in layers {
            try Task.checkCancellation()
            guard let path = store.path(of: layer.digest) else {
                throw Failure(.storeDamaged, "a layer of its root is gone", suggestion: "bake again")
            }
            let spoolFolder = try store.folder("spool")
            let tar = try MappedBytes(file: path).withBytes {
                try Decompressor.decompress($0, limit: Limit.layerBytes, spoolFolder: spoolFolder)
            }
            guard tar.withBytes({ Digest.sha256($0) }) == layer.diffID else {
                throw Failure(
                    .storeDamaged, "a layer is not the one that was made", at: path, suggestion: "bake again")
            }
            try tar.withBytes(BuildRun.expectHarmless)
            try tree.add(tar)
        }
        return tree
    }

    /// Numbers beyond the sandbox's own would be those of another one, and a device would be the host's.
    private static func expectHarmless(_ tar: UnsafeRawBufferPointer) throws {
        var reader = TarReader(tar)
        while let (entry, _) = try reader.next() {
            let isOwned = [entry.uid, entry.gid].allSatisfy { (0..<Sandbox.Owners.count).contains($0) }
            guard isOwned else {
                throw Failure(
                    .unsafePath,
                    "the number of its owner is beyond \(Sandbox.Owners.count - 1): /\(entry.path)",
                    suggestion: "give it to another user")
            }
            guard entry.kind != .characterDevice, entry.kind != .blockDevice else {
                throw Failure(
                    .unsafePath, "it is a device: /\(entry.path)",
                    suggestion: "leave out the package that brings it: a build step needs no devices")
            }
        }
    }

    private func sandbox(_ root: String, _ folder: String, _ owners: Sandbox.Owners) throws -> Sandbox {
        var limits = Sandbox.Limits()
        limits.time = step.limits.time
        limits.memory = step.limits.memory.bytes
        limits.disk = step.limits.disk.bytes
        (limits.processes, limits.output) = (Limit.processes, Limit.output)
        limits.openFiles = Limit.openFiles
        var sandbox = Sandbox(
            root: root, command: step.command,
            environment: BuildRun.environment.merging(step.environment) { $1 },
            workingDirectory: step.workingDirectory, hasNetwork: step.hasNetwork, owners: owners,
            limits: limits)
        let hosts = folder + "/hosts"
        try HostFiles.put(hosts, "127.0.0.1 localhost \(sandbox.hostname)\n::1 localhost\n".utf8)
        sandbox.mounts = [.readOnly(hosts, at: "/etc/hosts")]
        if step.hasNetwork, HostFiles.exists("/etc/resolv.conf") {
            let names = folder + "/resolv.conf"
            try HostFiles.put(names, try HostFiles.read("/etc/resolv.conf", limit: 1 << 20))
            sandbox.mounts.append(.readOnly(names, at: "/etc/resolv.conf"))
        }
        sandbox.mounts += secrets.map { .secret($0.path, at: $0.target) }
        return sandbox
    }

    /// What keeps results the same everywhere; the step's own variables win.
    private static let environment = [
        "PATH": ImageBaker.path, "HOME": "/root", "USER": "root", "LOGNAME": "root", "SHELL": "/bin/sh",
        "TZ": "UTC", "LC_ALL": "C.UTF-8", "SOURCE_DATE_EPOCH": "\(FilesLayer.firstTime)",
        "PERL_HASH_SEED": "0", "PYTHONHASHSEED": "0",
    ]

    private func failed(_ outcome: SandboxRun.Outcome) -> Failure {
        let shown = outcome.output.split(separator: "\n").suffix(Limit.shownLines).joined(separator: "\n    ")
        let lines = secrets.reduce(shown) { $1.hidden(in: $0) }
        return Failure(
            .commandFailed,
            "its command ended with \(outcome.status)"
                + (lines.isEmpty ? " and said nothing" : "; it said last:\n    \(lines)"),
            suggestion: "mend `run`, or give the step the packages and files that its command misses")
    }
}
