import ImageFormat
package import Model
package import Ports

/// Turns a recipe into a lock: apt itself picks the packages, in a private workspace that needs no root.
package struct PackageSolver: Sendable {
    private let store: any ImageStore
    private let host: HostApt

    package init(store: any ImageStore, host: HostApt = HostApt()) {
        self.store = store
        self.host = host
    }

    /// Packages that every image begins with.
    static let minimalBase = ["base-files", "base-passwd", "libc-bin"]

    /// Which packages may change where there is a lock already.
    package enum Update: Hashable, Sendable {
        case all
        /// These and what they newly need; the others stay as they are locked.
        case only([String])
        /// Those for which a suite of security updates has a newer version.
        case security
    }

    /// Asks the archives for their newest lists, checks their signatures, and picks every package. `old`: the lock
    /// that is updated, which says what stays. `installed`: dpkg's status of the image that the packages are put on,
    /// none of which is chosen again.
    package func lock(
        _ recipe: Recipe, updating old: (lock: Lock, what: Update)? = nil, installed: String? = nil,
        progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws -> Lock {
        progress(BakeProgress(.locking))
        let sources = try AptSources.resolve(recipe, host: host)
        if old?.what == .security { try SecurityVersions.expectSuite(in: sources) }
        let policy = try await AptWorkspace.hostPolicy()
        let name = AptWorkspace.name(sources, recipe.architecture)
        let folder = try store.folder(name)
        return try await store.locked(name.map { $0 == "/" ? "-" : $0 }.reduce(into: "") { $0.append($1) }) {
            let workspace = try AptWorkspace(
                folder: folder, sources: sources, architecture: recipe.architecture, policy: policy)
            try workspace.begin(with: installed ?? "")
            try await update(workspace)
            let archives = try await archives(workspace)
            var lock = Lock(
                distribution: recipe.distribution, architecture: recipe.architecture, base: recipe.base,
                requested: Lock.sorted(recipe.packages), archives: archives, packages: [], layers: [],
                tools: BaseImageBuilder.tools, scripts: recipe.scripts.decisive)
            guard let old, old.what != .all else {
                lock.packages = try await packages(recipe, workspace)
                try await nameSuites(in: &lock, workspace)
                lock.planLayers(budget: recipe.layerBudget, keeping: old?.lock)
                return lock
            }
            var changing: Set<String> = []
            switch old.what {
            case .all: break
            case .only(let names): changing = Set(names)
            case .security:
                var newest = lock
                newest.packages = try await packages(recipe, workspace)
                let upgraded = LockChanges(from: old.lock, to: newest).changes.filter { $0.kind == .upgraded }
                let fixes = try await SecurityVersions.find(upgraded.map(\.name), workspace)
                changing = Set(upgraded.filter { fixes.isInsecure($0.name, $0.from ?? "") }.map(\.name))
            }
            let kept = old.lock.packages.filter { !changing.contains($0.name) }
            try workspace.keep(kept)
            lock.packages = try await packages(recipe, workspace)
            try PackageSolver.expect(kept, in: lock.packages)
            try await nameSuites(in: &lock, workspace)
            lock.planLayers(budget: recipe.layerBudget, keeping: old.lock)
            return lock
        }
    }

    /// Writes down which packages are security updates where their archive does not tell.
    private func nameSuites(in lock: inout Lock, _ workspace: AptWorkspace) async throws {
        let names = lock.packages.filter(lock.isInMixedArchive).map(\.name)
        let fixes = try await SecurityVersions.find(names, workspace)
        for (index, package) in lock.packages.enumerated() where lock.isInMixedArchive(package) {
            lock.packages[index].suite = fixes.suite(of: package)
        }
    }

    /// Archives drop old versions; then nothing can be kept at them, and saying so is better than another version.
    private static func expect(_ kept: [Lock.Package], in packages: [Lock.Package]) throws {
        let locked = Dictionary(kept.map { ($0.name, $0) }) { first, _ in first }
        let lost = packages.filter { package in
            locked[package.name].map { $0.sha256 != package.sha256 } ?? false
        }
        guard !lost.isEmpty else { return }
        let names = lost.map(\.name).joined(separator: " ")
        throw Failures(
            lost.map { package in
                Failure(
                    .notFound,
                    "\(package.name) \(locked[package.name]?.version ?? "") is not in the archive any more, "
                        + "which has \(package.version)",
                    at: "kiln.lock", suggestion: "update it too: `--update \(names)`")
            })
    }

    private enum Limit {
        /// Free bytes that the lists of a distribution and apt's index of them take, at first and when renewed.
        static let firstLists = 160 << 20
        static let laterLists = 64 << 20
    }

    private func update(_ workspace: AptWorkspace) async throws {
        // On a full disk apt's helpers wait for each other without an end: it has to be seen before.
        let hasLists = HostFiles.exists(workspace.folder + "/cache/pkgcache.bin")
        let needed = hasLists ? Limit.laterLists : Limit.firstLists
        guard HostFiles.freeBytes(workspace.folder) >= needed else {
            throw Failure(
                .diskFull, "the package lists need \(ByteCount(bytes: needed)) of free space",
                at: workspace.folder,
                suggestion: "free some space on this disk")
        }
        let output = try await workspace.run("apt-get", ["update", "-q"])
        guard output.status != 0 else { return }
        throw AptComplaint.ofUpdate(output.err + "\n" + output.out)
    }

    private func archives(_ workspace: AptWorkspace) async throws -> [Lock.Archive] {
        var archives: [Lock.Archive] = []
        for (index, source) in workspace.sources.all.enumerated() {
            for suite in source.suites {
                let inRelease = workspace.list(source.uri, suite, "InRelease")
                let release = workspace.list(source.uri, suite, "Release")
                let isInline = HostFiles.exists(inRelease)
                guard isInline || HostFiles.exists(release) else {
                    throw Failure(
                        .archiveUnreachable, "the archive has no release file for \(suite)", at: source.uri,
                        suggestion: "see that the suite exists there")
                }
                let checked = try await ReleaseCheck.check(
                    release: isInline ? inRelease : release,
                    detachedSignature: isInline ? nil : release + ".gpg",
                    keyring: try workspace.keyringPath(index), place: "\(source.uri) \(suite)")
                archives.append(
                    Lock.Archive(
                        name: source.archive, suite: suite, release: checked.digest,
                        signedBy: checked.signedBy))
            }
        }
        return archives.sorted { ($0.name, $0.suite, $0.release) < ($1.name, $1.suite, $1.release) }
    }

    private func packages(_ recipe: Recipe, _ workspace: AptWorkspace) async throws -> [Lock.Package] {
        let base =
            recipe.from != nil
            ? [] : PackageSolver.minimalBase + (recipe.base == .essential ? ["?essential"] : [])
        let output = try await workspace.run(
            "apt-get",
            ["install", "-q", "--print-uris"] + base
                + recipe.packages.map(\.description))
        guard output.status == 0 else {
            let complaints = AptComplaint.unknownPackages(output.err)
            guard !complaints.isEmpty else { throw AptComplaint.ofInstall(output.err, recipe) }
            let names = try await workspace.run("apt-cache", ["pkgnames"])
            let known = names.out.split(separator: "\n").map(String.init)
            let distribution = recipe.distribution.map { "\($0)" } ?? "the archives"
            throw Failures(
                complaints.map { complaint in
                    Failure(
                        .packageUnknown, complaint.message(in: distribution), at: "image.packages",
                        suggestion: complaint.isVersion
                            ? "leave the version out to take the newest one"
                            : CloseNames.question(complaint.name, among: known)
                                ?? "see the names at `apt-cache search`, or add an archive to `sources`")
                })
        }
        let packages = try output.out.split(separator: "\n").filter { $0.hasPrefix("'") }.map {
            try package(String($0), workspace.sources)
        }
        return packages.sorted { ($0.name, $0.architecture) < ($1.name, $1.architecture) }
    }

    /// Reads a row of `--print-uris`: `'uri' name_version_arch.deb size SHA256:hex`.
    private func package(_ row: String, _ sources: AptSources) throws -> Lock.Package {
        func refuse(_ why: String) -> Failure {
            Failure(
                .archiveUnreachable, "apt's answer cannot be used: \(why)", at: row,
                suggestion: "use an archive whose lists carry SHA-256")
        }
        let words = row.split(separator: " ").map(String.init)
        guard words.count >= 4, words[0].count > 2, let size = Int(words[2]),
            (1...LockFile.Limit.packageBytes).contains(size), words[3].hasPrefix("SHA256:"),
            let digest = try? Digest(hex: String(words[3].dropFirst(7)))
        else { throw refuse("a package without a SHA-256") }
        let file = words[1].hasSuffix(".deb") ? String(words[1].dropLast(4)) : words[1]
        let parts = file.split(separator: "_", omittingEmptySubsequences: false).map {
            PercentText.decode(String($0))
        }
        guard parts.count == 3 else { throw refuse("a file name without a version") }
        let uri = String(words[0].dropFirst().dropLast())
        guard let source = sources.all.first(where: { uri.hasPrefix($0.uri + "/") }) else {
            throw refuse("a package from an archive that was not asked")
        }
        let path = PercentText.decode(String(uri.dropFirst(source.uri.count + 1)))
        guard try TarEntry.normalize(path) == path else { throw refuse("a path that is no path") }
        return Lock.Package(
            name: parts[0], version: parts[1], architecture: parts[2], archive: source.archive, path: path,
            size: size, sha256: digest)
    }
}

extension Lock {
    static func sorted(_ requests: [Recipe.PackageRequest]) -> [Recipe.PackageRequest] {
        var seen: Set<Recipe.PackageRequest> = []
        return requests.filter { seen.insert($0).inserted }.sorted { $0.description < $1.description }
    }
}
