import Glibc
import ImageFormat
package import Model
package import Ports
import Synchronization

/// Brings the packages of a lock into the store: from whichever mirror has them, each byte checked.
package struct PackageFetcher: Sendable {
    enum Limit {
        /// Files fetched at the same time.
        static let parallel = 8
        /// Tries of one mirror that stops in the middle.
        static let tries = 3
        /// The first pause before another try; each further one is four times as long.
        static let pause = Span.milliseconds(200)
    }

    private let store: any ImageStore
    private let sources: AptSources

    package init(store: any ImageStore, sources: AptSources) {
        self.store = store
        self.sources = sources
    }

    /// The packages of a lock that the store does not have.
    package func missing(_ lock: Lock) -> [Lock.Package] {
        lock.packages.filter { store.path(of: $0.sha256) == nil }
    }

    /// Fetches what is missing. What arrived of a file stays for the next try when this one is stopped.
    package func fetch(
        _ lock: Lock, progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws {
        guard !missing(lock).isEmpty else { return }
        try await store.locked("fetch") {
            let packages = missing(lock).sorted { ($0.size, $0.name) > ($1.size, $1.name) }
            guard !packages.isEmpty else { return }
            let folder = try store.folder("partial")
            let meter = Meter(packages, progress)
            let proxy = try await AptWorkspace.hostPolicy().lazy.compactMap(PackageFetcher.proxy).first
            try await Mirror.withClient(proxy: proxy) { mirror in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    var rest = packages[...]
                    for package in rest.prefix(Limit.parallel) {
                        group.addTask { try await fetch(package, mirror, folder, meter) }
                    }
                    rest = rest.dropFirst(Limit.parallel)
                    while try await group.next() != nil {
                        guard let package = rest.popFirst() else { continue }
                        group.addTask { try await fetch(package, mirror, folder, meter) }
                    }
                }
            }
        }
    }

    /// `Acquire::http::Proxy "http://…";`, the one line of apt's configuration that concerns us here.
    private static func proxy(_ line: String) -> String? {
        guard line.hasPrefix("Acquire::http::Proxy \"http://") else { return nil }
        return line.split(separator: "\"").dropFirst().first.map(String.init)
    }

    private func fetch(
        _ package: Lock.Package, _ mirror: Mirror, _ folder: String, _ meter: Meter
    ) async throws {
        var refusals: [String] = []
        var mismatch: Failure?
        for base in sources.mirrors(of: package.archive) {
            let url = base + "/" + PercentText.encodePath(package.path)
            var pause = Limit.pause
            tries: for attempt in 1...Limit.tries {
                try Task.checkCancellation()
                do {
                    let partial = try Partial(package, folder: folder)
                    meter.set(package, partial.count)
                    if partial.count < package.size {
                        try await mirror.read(url, from: partial.count) {
                            try partial.begin(at: $0)
                        } take: {
                            try partial.append($0)
                            meter.set(package, partial.count)
                        }
                    }
                    guard partial.count >= package.size else {
                        throw Mirror.Refusal.unreachable("it ended after \(partial.count) bytes")
                    }
                    try partial.finish()
                    try store.adopt(partial.path, as: package.sha256)
                    meter.finish(package)
                    return
                } catch let failure as Failure where failure.code == .hashMismatch {
                    meter.set(package, 0)
                    mismatch = Failure(
                        .hashMismatch, "\(base) serves another file than the lock names for \(package.name)",
                        at: package.path,
                        suggestion: "use another mirror; if the archive changed, run `kiln lock` again")
                    break tries
                } catch Mirror.Refusal.missing(let why) {
                    refusals.append("\(base): \(why)")
                    break tries
                } catch Mirror.Refusal.unreachable(let why) {
                    refusals.append("\(base): \(why)")
                    guard attempt < Limit.tries else { break tries }
                    try await Task.sleep(for: pause.duration)
                    pause = pause * 4
                }
            }
        }
        if let mismatch { throw mismatch }
        throw Failure(
            .archiveUnreachable,
            "no mirror gives \(package.name) \(package.version): \(refusals.last ?? "there is no mirror")",
            at: package.path,
            suggestion: "see that a mirror answers; archives drop old versions: `kiln lock` picks the newest")
    }

    /// Counts bytes over all files and reports them, at most once for every part of a thousand.
    private final class Meter: Sendable {
        private struct Counts {
            var bytes: [Digest: Int] = [:]
            var sum = 0
            var finished = 0
            var told = -1
        }

        private let total: Int
        private let packages: Int
        private let counts = Mutex(Counts())
        private let progress: @Sendable (BakeProgress) -> Void

        init(_ packages: [Lock.Package], _ progress: @escaping @Sendable (BakeProgress) -> Void) {
            total = packages.reduce(0) { $0 + $1.size }
            self.packages = packages.count
            self.progress = progress
        }

        func set(_ package: Lock.Package, _ count: Int) { change(package, count, isFinished: false) }
        func finish(_ package: Lock.Package) { change(package, package.size, isFinished: true) }

        private func change(_ package: Lock.Package, _ count: Int, isFinished: Bool) {
            let news: BakeProgress? = counts.withLock { counts in
                counts.sum += count - counts.bytes[package.sha256, default: 0]
                counts.bytes[package.sha256] = count
                if isFinished { counts.finished += 1 }
                let mark = counts.sum * 1000 / max(total, 1)
                guard isFinished || mark != counts.told else { return nil }
                counts.told = mark
                return BakeProgress(
                    .fetching, done: counts.sum, total: total, packagesDone: counts.finished,
                    packages: packages)
            }
            if let news { progress(news) }
        }
    }
}

/// A package that has arrived in part: kept under its digest, so that a later run goes on from there.
private final class Partial: @unchecked Sendable {
    // Unchecked: used by the one task that fetches its package.
    let path: String
    private let package: Lock.Package
    private let descriptor: Int32
    private var hash = RunningDigest()
    var count: Int { hash.count }

    init(_ package: Lock.Package, folder: String) throws {
        self.package = package
        path = "\(folder)/\(package.sha256.hex)"
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard descriptor >= 0 else { throw HostFiles.failure(errno, "the package cannot be kept", at: path) }
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let got = read(descriptor, &buffer, buffer.count)
            if got <= 0 { break }
            buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<got])) }
        }
        if count > package.size { try begin(at: 0) }
    }

    deinit { close(descriptor) }

    /// Starts over where the mirror does not go on from what is here.
    func begin(at offset: Int) throws {
        guard offset != count else { return }
        hash = RunningDigest()
        guard ftruncate(descriptor, 0) == 0, lseek(descriptor, 0, SEEK_SET) == 0 else {
            throw HostFiles.failure(errno, "the package cannot be kept", at: path)
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws {
        guard count + bytes.count <= package.size else { throw wrong() }
        hash.update(bytes)
        var rest = bytes
        while !rest.isEmpty {
            let written = write(descriptor, rest.baseAddress, rest.count)
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { throw HostFiles.failure(errno, "the package cannot be kept", at: path) }
            rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
    }

    /// Throws `hashMismatch`, and leaves no file, where the bytes are not those of the lock.
    func finish() throws {
        guard count == package.size, hash.digest() == package.sha256 else { throw wrong() }
    }

    private func wrong() -> Failure {
        unlink(path)
        return Failure(.hashMismatch, "the file is not the one that the lock names", at: package.path)
    }
}
