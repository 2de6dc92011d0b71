import Glibc
import ImageFormat
import Model
import Ports

/// Brings what `files:` rules take from elsewhere into the store, each byte checked, and unpacks it. What the store has
/// is not fetched again, so that a bake of a lock needs no network.
struct SourceFetcher: Sendable {
    private enum Limit {
        /// Tries of a server that stops in the middle.
        static let tries = 3
        /// The first pause before another try; each further one is four times as long.
        static let pause = Span.milliseconds(200)
        /// What an archive may unpack to.
        static let unpackedBytes = 16 << 30
    }

    let store: any ImageStore

    /// Looks up and fetches everything that a recipe takes from elsewhere. Of branches and tags, the commits of `old`
    /// stay. Throws all problems at once.
    func lock(_ recipe: Recipe, keeping old: Lock? = nil) async throws -> [Lock.Fetched] {
        var fetched: [Lock.Fetched] = []
        var failures: [Failure] = []
        for (place, rule) in recipe.placedFiles {
            if fetched.contains(where: { $0.fits(rule.source) }) { continue }
            do {
                if let file = try await lock(rule.source, old) { fetched.append(file) }
            } catch {
                failures += Failure.list(error).map { $0.at(place) }
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
        return fetched.sorted(by: Lock.Fetched.precedes)
    }

    private func lock(_ source: FileRule.Source, _ old: Lock?) async throws -> Lock.Fetched? {
        switch source {
        case .local: return nil
        case .download(let download):
            return Lock.Fetched(
                .url(download.url), sha256: download.sha256,
                size: try await fetch(download.url, download.sha256, most: SiteFiles.Limit.fileBytes))
        case .checkout(let checkout):
            let repository = try await GitRepository.open(checkout.repository, store: store)
            var name: String?
            let commit: String
            switch checkout.revision {
            case .commit(let text): commit = text
            case .ref(let ref):
                name = ref
                if case .git(_, let locked, _, _)? = old?.fetched(for: source)?.origin {
                    commit = locked
                } else {
                    commit = try await repository.commit(of: ref)
                }
            }
            let tar = try await repository.archive(commit, ref: name, path: checkout.path)
            return Lock.Fetched(
                .git(
                    repository: checkout.repository, commit: commit, ref: name, path: checkout.path),
                sha256: tar.digest, size: tar.size)
        }
    }

    /// Adds the files that the rules of a recipe take from elsewhere. The lock must belong to the recipe.
    func add(_ recipe: Recipe, _ lock: Lock, to files: inout SiteFiles) async throws {
        var failures: [Failure] = []
        for (index, rule) in recipe.files.enumerated() {
            guard let fetched = lock.fetched(for: rule.source) else { continue }
            do {
                try await bring(fetched)
                try add(rule, index, fetched, to: &files)
            } catch {
                failures += Failure.list(error).map { $0.at(SiteFiles.place(index)) }
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
    }

    private func bring(_ fetched: Lock.Fetched) async throws {
        guard store.path(of: fetched.sha256) == nil else { return }
        switch fetched.origin {
        case .url(let url): _ = try await fetch(url, fetched.sha256, most: fetched.size)
        case .git(let address, let commit, let ref, let path):
            let repository = try await GitRepository.open(address, store: store)
            let tar = try await repository.archive(commit, ref: ref, path: path)
            guard tar.digest == fetched.sha256 else {
                throw Failure(
                    .hashMismatch,
                    "the commit \(commit) has other files than the lock names: \(tar.digest.hex), and not "
                        + fetched.sha256.hex, suggestion: "see who changed it; `kiln lock` locks it anew")
            }
        }
    }

    private func add(
        _ rule: FileRule, _ index: Int, _ fetched: Lock.Fetched, to files: inout SiteFiles
    ) throws {
        guard let path = store.path(of: fetched.sha256) else {
            throw Failure(.storeDamaged, "what was fetched is gone from the store", suggestion: "bake again")
        }
        let blob = try MappedBytes(file: path)
        let archive = ArchiveFiles(rule: rule, index: index, name: fetched.name)
        switch rule.source {
        case .local: break
        case .download(let download):
            guard let unpacking = download.unpacking else {
                let item = SiteFiles.Item(
                    path: try TarEntry.normalize(rule.to), source: download.url,
                    held: SiteFiles.Held(archive: 0, range: 0..<blob.count), kind: .file,
                    mode: rule.fileMode(isExecutable: false), owner: rule.owner, size: blob.count,
                    digest: download.sha256, rule: index)
                guard !item.path.isEmpty else {
                    throw Failure(
                        .conflict, "a file cannot be the root of an image",
                        suggestion: "name the file: `to: /opt/tool`")
                }
                return files.add([item], of: blob)
            }
            try SourceFetcher.check(blob, fetched)
            let tar: MappedBytes
            do {
                let spoolFolder = try store.folder("spool")
                tar = try blob.withBytes {
                    try Decompressor.decompress($0, limit: Limit.unpackedBytes, spoolFolder: spoolFolder)
                }
            } catch let failure as Failure {
                throw failure.at("\(SiteFiles.place(index)) \(download.url)")
            }
            files.add(try archive.items(tar, strip: unpacking.strip), of: tar)
        case .checkout(let checkout):
            try SourceFetcher.check(blob, fetched)
            files.add(try archive.items(blob, at: checkout.path), of: blob)
        }
    }

    /// Before anything reads an archive, its bytes are proven to be those of the lock.
    private static func check(_ blob: MappedBytes, _ fetched: Lock.Fetched) throws {
        guard blob.withBytes({ Digest.sha256($0) }) == fetched.sha256 else {
            throw Failure(
                .storeDamaged, "what was fetched has changed in the store", at: "\(fetched.sha256)",
                suggestion: "delete that blob and bake again")
        }
    }

    /// Brings a file into the store; gives its size.
    private func fetch(_ url: String, _ digest: Digest, most: Int) async throws -> Int {
        try await store.locked("fetch") {
            if let path = store.path(of: digest) { return try MappedBytes(file: path).count }
            let folder = try store.folder("partial")
            let proxy = ProxyAddress(for: url, environment: ProxyAddress.environment)
            return try await Mirror.withClient(proxy: proxy) { mirror in
                var pause = Limit.pause
                for attempt in 1...Limit.tries {
                    try Task.checkCancellation()
                    do {
                        return try await fetch(url, digest, most: most, mirror, folder)
                    } catch Mirror.Refusal.missing(let why) {
                        throw Failure(
                            .notFound, "\(url) is not there: \(why)", suggestion: "mend `url`")
                    } catch Mirror.Refusal.unreachable(let why) {
                        guard attempt < Limit.tries else {
                            throw Failure(
                                .archiveUnreachable, "\(url) cannot be fetched: \(why)",
                                suggestion: "see that its server answers, then try again")
                        }
                        try await Task.sleep(for: pause.duration)
                        pause = pause * 4
                    }
                }
                throw Failure(.archiveUnreachable, "\(url) cannot be fetched")
            }
        }
    }

    private func fetch(
        _ url: String, _ digest: Digest, most: Int, _ mirror: Mirror, _ folder: String
    ) async throws -> Int {
        do {
            let partial = try PartialFile(digest, folder: folder, most: most, place: url)
            if !partial.isWhole {
                try await mirror.read(url, from: partial.count) {
                    try partial.begin(at: $0)
                } take: {
                    try partial.append($0)
                }
            }
            try partial.finish()
            try store.adopt(partial.path, as: digest)
            return partial.count
        } catch let failure as Failure where failure.code == .hashMismatch {
            throw Failure(
                .hashMismatch, failure.message, at: url,
                suggestion: "see whether the file was replaced; if it is right, write its hash into sha256")
        }
    }
}

extension ByteWriter {
    /// Of the rules that take something from elsewhere, all that shapes the files that they bring.
    mutating func put(_ rules: [FileRule], fetchedBy lock: Lock) {
        for (index, rule) in rules.enumerated() {
            guard let fetched = lock.fetched(for: rule.source) else { continue }
            put(index)
            put(rule, fetched)
        }
    }

    private mutating func put(_ rule: FileRule, _ fetched: Lock.Fetched) {
        put(fetched.sha256)
        put(rule.to)
        put(rule.mode ?? -1)
        put(rule.owner ?? "")
        switch rule.source {
        case .local(let path, _): put(path)
        case .download(let download): put(download.unpacking?.strip ?? -1)
        case .checkout(let checkout): put(checkout.path)
        }
    }
}
