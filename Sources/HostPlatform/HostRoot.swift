internal import Glibc
package import Model

/// All paths and names of one `--root DIR`. Whatever is outside the folder carries its tag, so that two roots on one
/// host never meet.
package struct HostRoot: Sendable {
    /// The folder's canonical path.
    package let path: String
    /// Eight letters and digits that belong to this path alone.
    package let tag: String

    /// Makes the folders that everything else expects.
    package init(_ folder: String) throws {
        try Files.makeFolder(folder)
        guard let resolved = realpath(folder, nil) else {
            throw SystemFailure.failure(errno, "cannot use the root folder", at: folder)
        }
        path = String(cString: resolved)
        free(resolved)
        tag = try HostRoot.claimTag(for: path)
        for name in ["instances", "images", "logs", "proxy", "tmp"] {
            try Files.makeFolder("\(path)/\(name)")
        }
    }

    // MARK: Inside the folder

    package func instance(_ id: InstanceID) -> InstanceFolder {
        InstanceFolder(path: "\(instances)/\(id)", bundle: "\(bundles)/\(id)")
    }
    var instances: String { path + "/instances" }
    var images: String { path + "/images" }
    func imageFile(_ image: Digest) -> String { "\(images)/\(image.hex).erofs" }
    /// What the file was when it was made.
    func imageSeal(_ image: Digest) -> String { "\(images)/\(image.hex).seal" }
    /// Where a file goes that somebody wrote to, for whoever looks into it.
    func alteredImage(_ image: Digest) -> String { "\(images)/\(image.hex).altered" }
    package func imageMount(_ image: Digest) -> String { "\(images)/\(image.hex)" }
    /// Where the images that have a file are mounted.
    var imageMounts: [String] {
        Files.names(in: images).filter { (try? Digest(hex: $0)) != nil }.map { "\(images)/\($0)" }
    }
    var logs: String { path + "/logs" }
    package func log(_ id: InstanceID) -> String { "\(logs)/\(id).log" }
    var proxy: String { path + "/proxy" }
    var temporary: String { path + "/tmp" }
    /// What was written down about instances before they were replaced.
    var evidence: String { path + "/evidence" }
    var networkFile: String { path + "/network.json" }

    // MARK: Outside of it

    /// At most 15 bytes, as the kernel allows.
    package var bridge: String { "kiln-\(tag)" }
    package var cgroup: String { "kiln-\(tag)" }
    var firewallTable: String { "kiln-\(tag)" }
    /// Sockets and the runtime's state: short paths, because a Unix socket's name has at most 107 bytes.
    package var runFolder: String { "/run/kiln-\(tag)" }
    var runtimeState: String { runFolder + "/state" }
    /// What runtimes and monitors read and write while an instance lives. In memory: a disk's file system takes its time
    /// over many small files that come and go.
    package var bundles: String { runFolder + "/bundles" }
    var attachFolder: String { runFolder + "/attach" }
    package var proxySocket: String { runFolder + "/haproxy.sock" }
    var proxyMasterSocket: String { runFolder + "/master.sock" }
    var proxyGateSocket: String { runFolder + "/gate.sock" }
    /// The host's end of an instance's cable.
    func cable(_ number: Int) -> String { "kv\(tag)\(String(number, radix: 36))" }

    /// FNV-1a gives a tag from the path; the run folder remembers whose it is, so that even two paths with one hash
    /// end up with two tags.
    private static func claimTag(for path: String) throws -> String {
        for attempt in 0..<Limit.tagAttempts {
            let tag = hashTag(attempt == 0 ? path : "\(path)#\(attempt)")
            let folder = "/run/kiln-\(tag)"
            // The proxy's worker, which is not root, reaches its own gate socket in here.
            try Files.makeFolder(folder, mode: 0o711)
            let owner = Files.text(folder + "/root")
            if owner == path { return tag }
            if let owner, !owner.isEmpty, Files.exists(owner) { continue }
            try Files.replace(folder + "/root", with: path, durably: false)
            return tag
        }
        throw Failure(.conflict, "no free name for this root folder", at: path)
    }

    static func hashTag(_ text: String) -> String {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        let digits = Array("abcdefghijklmnopqrstuvwxyz234567")
        hash ^= hash >> 40
        return String((0..<8).map { digits[Int(hash >> (5 * UInt64($0)) & 31)] })
    }
}

/// The folder that owns everything of one instance: written first, removed last.
extension HostRoot {
    /// A folder for each session that is under way, by its number.
    var sessionFolders: String { runFolder + "/sessions" }
    /// What control groups of sessions are called, before their number.
    static let sessionPrefix = "session-"
}

package struct InstanceFolder: Sendable {
    package let path: String
    package let bundle: String

    /// The order, its address and when it came: what a half-made instance is known by.
    package var launchFile: String { path + "/launch.json" }
    /// The processes, written once the launch has succeeded.
    var runningFile: String { path + "/running.json" }
    var processFile: String { bundle + "/pid" }
    /// What it looked like right after the launch, and what was found to differ since.
    var baselineFile: String { path + "/baseline.json" }
    var driftFile: String { path + "/drifts.json" }
    var exitFolder: String { path + "/exit" }
}

/// The bounds of this adapter's waits, loops and files. Those of waits end what hangs; a host with too much to do may be
/// slow for seconds, and what it does is no failure then.
enum Limit {
    static let tagAttempts = 8
    /// How long the monitor may take to tell the process number.
    static let create = Span.seconds(60)
    /// crun leaves one page of 4 KiB for each in what covers the hierarchies of version 2, which holds 1 MiB.
    static let launchesInNamespace = 100
    static let start = Span.seconds(60)
    /// How long a monitor may take to write the exit status of a process that ended.
    static let monitorFarewell = Span.seconds(5)
    /// How long the kernel may take to end a killed process.
    static let kill = Span.seconds(30)
    static let makeImage = Span.seconds(600)
    /// Bytes of one instance's log; the monitor begins anew when it is full.
    static let log = 16 << 20
    /// Logs of removed instances that are kept.
    static let oldLogs = 200
    static let firewall = Span.seconds(60)
    static let proxyStart = Span.seconds(30)
    static let proxyReload = Span.seconds(30)
    static let proxyCheck = Span.seconds(30)
    static let proxyStop = Span.seconds(5)
    static let portRelease = Span.seconds(1)
    static let proxyAnswer = Span.seconds(15)
    /// Bytes of the proxy's file that are read back.
    static let proxyFile = 64 << 20
    /// How long a server may keep its last connections when it is told to go.
    static let serverFarewell = Span.milliseconds(2500)
    /// How often in a row a server's deletion is tried; the next look tries again.
    static let deletions = 5
    /// How often an old worker is looked at, at once after a reload; later looks go on with it.
    static let lastLooks = 15
    /// How old the latencies that are shown may be, while there is traffic.
    static let latencyAge = Span.milliseconds(250)
}
