import Glibc
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
    private let patience: Span
    private let pause: Span

    package init(store: any ImageStore, sources: AptSources) {
        self.init(store: store, sources: sources, patience: Mirror.Limit.silence, pause: Limit.pause)
    }

    /// `patience`: how long a mirror may be silent in the middle of a file.
    init(store: any ImageStore, sources: AptSources, patience: Span, pause: Span) {
        self.store = store
        self.sources = sources
        self.patience = patience
        self.pause = pause
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
            let ofApt = try await AptWorkspace.hostPolicy().lazy.compactMap(PackageFetcher.proxy).first
            let proxy =
                ofApt.flatMap { ProxyAddress($0) }
                ?? sources.all.lazy.compactMap {
                    ProxyAddress(for: $0.uri, environment: ProxyAddress.environment)
                }.first
            try await Mirror.withClient(proxy: proxy, patience: patience) { mirror in
                _ = try await inParallel(packages, width: Limit.parallel) {
                    try await fetch($0, mirror, folder, meter)
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
            var pause = pause
            tries: for attempt in 1...Limit.tries {
                try Task.checkCancellation()
                var beganElsewhere = false
                do {
                    let partial = try PartialFile(
                        package.sha256, folder: folder, most: package.size, place: package.path)
                    beganElsewhere = partial.count > 0
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
                    try partial.finish(size: package.size)
                    try store.adopt(partial.path, as: package.sha256)
                    meter.finish(package)
                    return
                } catch let failure as Failure where failure.code == .hashMismatch {
                    meter.set(package, 0)
                    // The wrong part may be what another mirror, or an earlier run, had given of it.
                    if beganElsewhere, attempt < Limit.tries { continue tries }
                    mismatch = Failure(
                        .hashMismatch, "\(base) serves another file than the lock names for \(package.name)",
                        at: package.path,
                        suggestion: "use another mirror; if the archive changed, run `kiln lock` again")
                    break tries
                } catch Mirror.Refusal.missing(let why) {
                    refusals.append("\(base): \(why)")
                    break tries
                } catch Mirror.Refusal.unreachable(let why) {
                    // Each mirror once, with what it said last.
                    refusals.removeAll { $0.hasPrefix("\(base): ") }
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
            "no mirror gives \(package.name) \(package.version): "
                + (refusals.isEmpty ? "there is no mirror" : refusals.joined(separator: "; ")),
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
