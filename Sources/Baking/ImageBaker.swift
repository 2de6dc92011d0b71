import ImageFormat
package import Model
package import Ports

/// What a bake gives.
package struct BakeResult: Sendable {
    package var image: Image
    package var record: ImageRecord
    /// What was left undone, to be told to the user: packages whose scripts would have mattered.
    package var warnings: [String]
    /// What was left undone on purpose, because no image may hold it, and what to do instead.
    package var notes: [String]
    /// Packages whose scripts were run in a sandbox.
    package var traced: [String]
    /// Nothing had changed since an earlier bake.
    package var wasCached: Bool
    /// How long each part took, in its order.
    package var phases: [Phase]

    package struct Phase: Hashable, Sendable {
        package var name: String
        package var span: Duration
    }
}

/// Turns a recipe and its lock into an image. The same lock and files give the same bytes everywhere; what is in the
/// store already is not made again; a failure leaves the store as it was, but for parts that the next bake can use.
package struct ImageBaker: Sendable {
    /// Changes whenever the same inputs give another image than before.
    static let version = 3

    private enum Limit {
        static let manifestBytes = 4 << 20
    }

    let store: any ImageStore
    private let host: HostApt
    let puller: (any ImagePuller)?
    private let clock: @Sendable () -> Instant

    /// `clock` dates the record of an image, and nothing inside it. `puller` fetches what recipes build on; without one
    /// it has to be in the store.
    package init(
        store: any ImageStore, host: HostApt = HostApt(), puller: (any ImagePuller)? = nil,
        clock: @escaping @Sendable () -> Instant
    ) {
        self.puller = puller
        self.store = store
        self.host = host
        self.clock = clock
    }

    /// Bakes. `specFolder` is where `files:` are looked for. The lock must belong to the recipe.
    package func bake(
        _ recipe: Recipe, specFolder: String, lock: Lock, service: ServiceName,
        progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws -> BakeResult {
        var timer = PhaseTimer()
        try lock.expectFresh(for: recipe)
        try lock.expectKnownScripts()
        var files = try SiteFiles(recipe.files, folder: specFolder)
        let builds = try BuildSteps(recipe, lock, specFolder: specFolder, store: store)
        let key = ImageBaker.key(recipe, lock, files, builds)
        timer.end("files")
        if let result = try await cached(key, service, lock) {
            timer.end("look-up")
            return BakeResult(
                image: result.image, record: result.record,
                warnings: ImageBaker.toolWarnings(lock) + result.warnings, notes: result.notes,
                traced: result.traced, wasCached: true,
                phases: timer.phases)
        }
        try await SourceFetcher(store: store).add(recipe, lock, to: &files)
        timer.end("sources")
        let below = try await below(recipe, lock)
        let certificates = try OwnCertificate.all(in: files)
        let base =
            if let below, lock.packages.isEmpty {
                below.base
            } else {
                try await base(recipe, lock, below, certificates, progress: progress, timer: &timer)
            }
        var built = try SiteFiles([], folder: specFolder)
        let told = try await builds.add(to: &built, progress: progress) { recipe, lock in
            var own = PhaseTimer()
            return try await self.base(recipe, lock, nil, progress: progress, timer: &own)
        }
        if !recipe.builds.isEmpty { timer.end("build") }
        let notes = base.notes + told + ImageBaker.notes(on: certificates, lock)
        progress(BakeProgress(.assembling))
        // Packages bring what an instance needs; an image of somebody else's may lack it.
        let isPlain = below != nil && lock.packages.isEmpty
        var lookup = ImageLookup(base.entries)
        let accounts = base.accounts
        var layers = base.layers
        var annotations = lock.from.map { [FromImage.annotation: "\($0.digest)"] } ?? [:]
        // Below `files`, which may put something else in the place of a result.
        if let layer = try FilesLayer.write(built, accounts: accounts, lookup: &lookup, store: store) {
            layers.append(layer)
            annotations[BuildOrigin.annotation] = BuildOrigin(recipe, layer: layer.digest).text
        }
        if let layer = try FilesLayer.write(
            files, others: isPlain ? MountPoints.missing(in: lookup) : [], accounts: accounts,
            lookup: &lookup, store: store)
        {
            layers.append(layer)
        }
        timer.end("files-layer")
        guard layers.count <= OCIManifest.Limit.layers else {
            throw Failure(
                .conflict,
                "the image below has \(base.layers.count) layers; \(OCIManifest.Limit.layers) are the most, and "
                    + "files or the folders that an instance needs take one more",
                at: "image.from", suggestion: "build on an image of fewer layers")
        }
        let config = try ImageBaker.config(
            recipe.completed(by: below?.config), accounts: accounts, lookup: lookup,
            userPlace: recipe.user == nil ? "image.from" : "image.user")
        let documents = OCIImage.documents(config: config, layers: layers, annotations: annotations)
        _ = try store.write(documents.config)
        let digest = try store.write(documents.manifest)
        assert(digest == documents.image.digest, "an image is named by its manifest")
        let record = ImageRecord(
            digest: digest, service: service, bakedAt: clock(), size: documents.image.size,
            packages: lock.packages.count)
        try await store.enter(record)
        var memo = ByteWriter()
        memo.put(digest)
        memo.put(list: base.warnings) { $0.put($1) }
        memo.put(list: notes) { $0.put($1) }
        memo.put(list: base.traced) { $0.put($1) }
        try store.cache(key, memo.bytes)
        timer.end("image")
        return BakeResult(
            image: documents.image, record: record, warnings: ImageBaker.toolWarnings(lock) + base.warnings,
            notes: notes, traced: base.traced, wasCached: false,
            phases: timer.phases)
    }

    /// Completes a lock with the packages of the recipe's build steps, which are brought into the store. `old`: the lock
    /// that is updated, and what of it may change.
    package func lockBuilds(
        _ lock: inout Lock, _ recipe: Recipe,
        updating old: (lock: Lock, what: PackageSolver.Update)? = nil,
        progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws {
        let solver = PackageSolver(store: store, host: host)
        try await lock.addBuilds(recipe, updating: old) { root, before in
            var own = try await solver.lock(root, updating: before, progress: progress)
            try await settle(&own, root, keeping: before?.lock, progress: progress)
            return own
        }
    }

    /// Completes a lock with what only the packages' content tells: the numbers of accounts, of which those of the old
    /// lock stay. Fetches the packages, so that a bake of the lock needs no network.
    package func settle(
        _ lock: inout Lock, _ recipe: Recipe, keeping old: Lock? = nil,
        progress: @escaping @Sendable (BakeProgress) -> Void = { _ in }
    ) async throws {
        guard lock.distribution != nil else { return }
        lock.accounts = old?.accounts ?? [:]
        var timer = PhaseTimer()
        lock.accounts = try await base(
            recipe, lock, try await below(recipe, lock), progress: progress, timer: &timer
        ).givenIDs
    }

    /// Says where a lock is from a Kiln that makes other bytes of the same inputs.
    private static func toolWarnings(_ lock: Lock) -> [String] {
        lock.distribution == nil || lock.tools == BaseImageBuilder.tools
            ? []
            : [
                "kiln.lock is from another version of Kiln, which made other bytes of the same packages: "
                    + "`kiln lock` renews it"
            ]
    }

    /// Certificates that nothing makes trusted.
    private static func notes(on certificates: [OwnCertificate], _ lock: Lock) -> [String] {
        guard !certificates.isEmpty, !lock.packages.contains(where: { $0.name == "ca-certificates" }) else {
            return []
        }
        return certificates.map {
            "/\($0.path) is not trusted: that takes `ca-certificates` among the image's own packages"
        }
    }

    private static func key(
        _ recipe: Recipe, _ lock: Lock, _ files: SiteFiles, _ builds: BuildSteps
    ) -> String {
        var writer = ByteWriter()
        writer.put(version)
        writer.put(BaseImageBuilder.key(lock))
        writer.put(files.digest)
        writer.put(recipe.files, fetchedBy: lock)
        for (step, key) in zip(recipe.builds, builds.keys) {
            writer.put(key)
            writer.put(step.name ?? "")
            writer.put(list: step.copies) { $0.put($1) }
        }
        writer.put(recipe.user ?? "")
        writer.put(list: recipe.command) { $0.put($1) }
        writer.put(recipe.workingDirectory ?? "")
        writer.put(list: recipe.environment.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        return "bake/" + Digest.sha256(writer.bytes).hex
    }

    /// The image that an earlier bake of the same inputs made, if all of it is still there.
    private func cached(
        _ key: String, _ service: ServiceName, _ lock: Lock
    ) async throws -> (
        image: Image, record: ImageRecord, warnings: [String], notes: [String], traced: [String]
    )? {
        guard let memo = store.cached(key) else { return nil }
        var reader = ByteReader(memo)
        guard let digest = try? reader.digest(), let warnings = try? reader.list({ try $0.text() }),
            let notes = try? reader.list({ try $0.text() }),
            let traced = try? reader.list({ try $0.text() }),
            store.path(of: digest) != nil,
            let image = try? LayeredImageReader(store: store).image(digest),
            image.layers.allSatisfy({ store.path(of: $0.digest) != nil })
        else { return nil }
        // Dated anew: a collection leaves what was asked for just now, since somebody may be about to deploy it.
        let record = ImageRecord(
            digest: digest, service: service, bakedAt: clock(), size: image.size,
            packages: lock.packages.count)
        try await store.enter(record)
        return (image, try store.record(of: digest) ?? record, warnings, notes, traced)
    }

    private func base(
        _ recipe: Recipe, _ lock: Lock, _ below: FromImage?, _ certificates: [OwnCertificate] = [],
        progress: @escaping @Sendable (BakeProgress) -> Void, timer: inout PhaseTimer
    ) async throws -> BaseImage {
        let spoolFolder = try store.folder("spool")
        let builder = BaseImageBuilder(
            store: store, spoolFolder: spoolFolder, certificates: certificates)
        if let base = builder.cached(lock) {
            timer.end("base")
            return base.on(below)
        }
        let maker = FragmentBuilder(store: store, spoolFolder: spoolFolder)
        // A package whose fragment is there need not be fetched again.
        let known = Dictionary(
            lock.packages.compactMap { package in maker.cached(package).map { (package.name, $0) } }
        ) { first, _ in first }
        timer.end("look-up")
        var wanted = lock
        wanted.packages = lock.packages.filter { known[$0.name] == nil }
        let sources = try AptSources.resolve(recipe, host: host)
        var fetched = wanted
        fetched.packages += lock.packages.filter {
            // Scripts that are run come with files that a fragment does not hold.
            known[$0.name] != nil && lock.scripts.mayTrace($0.name) && store.path(of: $0.sha256) == nil
        }
        try await PackageFetcher(store: store, sources: sources).fetch(fetched, progress: progress)
        timer.end("fetch")
        let made = try await FragmentRun(builder: maker, packages: wanted.packages, progress: progress).run()
        timer.end("unpack")
        let base = try await builder.build(
            Array(known.values) + made, lock: lock,
            below: try below.map { try BelowPackages($0, store: store) })
        timer.end("effects")
        return base.on(below)
    }
}

extension ImageBaker {
    static let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// How the image starts: the user in numbers, the program proven to be there.
    private static func config(
        _ recipe: Recipe, accounts: Accounts, lookup: ImageLookup, userPlace: String
    ) throws -> ImageConfig {
        var environment = ["PATH": path]
        environment.merge(recipe.environment) { $1 }
        var failures: [Failure] = []
        var user = "0:0"
        do {
            if let name = recipe.user {
                let ids = try accounts.resolve(name, place: userPlace)
                user = "\(ids.user):\(ids.group)"
            }
        } catch {
            failures += Failure.list(error)
        }
        let folder = recipe.workingDirectory ?? "/"
        if let problem = commandProblem(recipe, environment["PATH"] ?? path, folder, lookup) {
            failures.append(problem)
        }
        if let place = lookup.resolve(folder), lookup[place]?.kind != .directory {
            failures.append(
                Failure(
                    .invalidArgument, "the image has no folder \(folder)", at: "image.working-directory",
                    suggestion: "put files there, or name a folder of the image"))
        }
        if !failures.isEmpty { throw Failures(failures) }
        return ImageConfig(
            architecture: recipe.architecture, user: user, command: recipe.command, environment: environment,
            workingDirectory: folder)
    }

    static func commandProblem(
        _ recipe: Recipe, _ path: String, _ folder: String, _ lookup: ImageLookup
    ) -> Failure? {
        guard let program = recipe.command.first else {
            return Failure(
                .invalidArgument, "there is no command", at: "image.command",
                suggestion: "say what an instance runs: `command: [nginx, -g, daemon off;]`")
        }
        let folders = path.split(separator: ":").map(String.init)
        if program.contains("/") {
            if lookup.isProgram(program.hasPrefix("/") ? program : folder + "/" + program) { return nil }
        } else if folders.contains(where: { lookup.isProgram($0 + "/" + program) }) {
            return nil
        }
        let name = ImagePath.name(of: program)
        let near = CloseNames.question(name, among: Set(folders.flatMap(lookup.programs)))
        return Failure(
            .invalidArgument, "the image has no program \(program)", at: "image.command",
            suggestion: near ?? "add the package that has it to `packages`, or the file to `files`")
    }
}

/// Notes how long each part of a bake took.
private struct PhaseTimer {
    private(set) var phases: [BakeResult.Phase] = []
    private var last = ContinuousClock.now

    mutating func end(_ name: String) {
        let now = ContinuousClock.now
        phases.append(BakeResult.Phase(name: name, span: now - last))
        last = now
    }
}
