import Glibc
import ImageFormat
import Model
import Ports

/// The build steps of a recipe: which have to run, in which root, and where their results go. A result is kept by all
/// that decides about it, so that a step runs once for what it is.
struct BuildSteps {
    /// Changes whenever the same step may give other results than before.
    private static let version = 1

    private let recipe: Recipe
    private let lock: Lock
    private let specFolder: String
    private let store: any ImageStore
    /// What lies beside the spec, for each step.
    private var files: [SiteFiles] = []
    /// What the result of each step is kept by.
    private(set) var keys: [String] = []

    /// Reads and hashes the files beside the spec that steps need. The lock must belong to the recipe.
    init(_ recipe: Recipe, _ lock: Lock, specFolder: String, store: any ImageStore) throws {
        (self.recipe, self.lock, self.specFolder, self.store) = (recipe, lock, specFolder, store)
        var failures: [Failure] = []
        for (index, step) in recipe.builds.enumerated() {
            do {
                files.append(try SiteFiles(step.files, folder: specFolder))
            } catch {
                failures += Failure.list(error).map { BuildStep.blame($0, step, index) }
            }
        }
        if !failures.isEmpty { throw Failures(failures) }
        let wanted = recipe.wantedResults
        for (index, step) in recipe.builds.enumerated() {
            keys.append(key(step, lock.builds[index], files[index], wanted[index]))
        }
    }

    private func key(_ step: BuildStep, _ packages: Lock, _ files: SiteFiles, _ wanted: [String]) -> String {
        var writer = ByteWriter()
        writer.put(BuildSteps.version)
        writer.put(BaseImageBuilder.key(packages))
        writer.put(files.digest)
        writer.put(step.files, fetchedBy: lock)
        writer.put(list: step.taken) { writer, taken in
            writer.put(keys[taken.step])
            writer.put(taken.copy)
        }
        writer.put(list: step.command) { $0.put($1) }
        writer.put(step.workingDirectory)
        writer.put(list: step.environment.sorted { TarEntry.precedes($0.key, $1.key) }) {
            $0.put($1.key)
            $0.put($1.value)
        }
        writer.put(step.hasNetwork ? 1 : 0)
        writer.put(list: step.secrets) {
            $0.put($1.from)
            $0.put($1.to)
        }
        writer.put(list: wanted) { $0.put($1) }
        return "build/" + Digest.sha256(writer.bytes).hex
    }

    /// The result that an earlier run left, if it is still there.
    private func known(_ index: Int) -> Digest? {
        guard let bytes = store.cached(keys[index]) else { return nil }
        var reader = ByteReader(bytes)
        guard let digest = try? reader.digest(), store.path(of: digest) != nil else { return nil }
        return digest
    }

    /// Runs what has to be run, and adds the results that go into the image. `root` makes the packages of a step into
    /// an image. Gives what a user is to be told.
    func add(
        to site: inout SiteFiles, progress: (BakeProgress) -> Void,
        root: (Recipe, Lock) async throws -> BaseImage
    ) async throws -> [String] {
        var notes: [String] = []
        var results: [Int: Digest] = [:]
        for index in recipe.builds.indices { results[index] = known(index) }
        let wanted = recipe.wantedResults
        for index in recipe.neededBuilds(known: Set(results.keys)) {
            let step = recipe.builds[index]
            do {
                try expectHost(step)
                let base = try await root(step.root(of: recipe), lock.builds[index])
                progress(BakeProgress(.building, subject: step.name ?? "step \(index + 1)"))
                let run = try await prepare(index, base, results, wanted: wanted[index])
                let made = try run.run()
                // Of two bakes at once, both take what the first one made.
                results[index] = known(index) ?? made
                if results[index] == made {
                    var writer = ByteWriter()
                    writer.put(made)
                    try store.cache(keys[index], writer.bytes)
                }
            } catch {
                throw Failures(Failure.list(error).map { BuildStep.blame($0, step, index) })
            }
        }
        for (index, step) in recipe.builds.enumerated() {
            if step.hasNetwork {
                notes.append(
                    "\(step.label(index)) has the network: another store may get other results from it")
            }
            for (number, copy) in step.copies.enumerated() {
                guard let result = results[index] else { continue }
                try take(
                    copy, of: index, result, place: "\(BuildStep.place(index)).copy[\(number)]",
                    rule: index * SiteFiles.Limit.files + number, into: &site)
            }
        }
        return notes
    }

    private func expectHost(_ step: BuildStep) throws {
        guard geteuid() == 0 else {
            throw Failure(
                .notPermitted, "its command runs in a sandbox, which needs root",
                suggestion: "bake once as root; the result is kept in the store")
        }
        guard recipe.architecture == .native else {
            throw Failure(
                .notPermitted,
                "its command runs on \(recipe.architecture.rawValue) only, and this host is another machine",
                suggestion: "bake on such a machine, or take \(recipe.architecture.rawValue) out of "
                    + "`architecture`")
        }
    }

    private func take(
        _ copy: BuildStep.Copy, of index: Int, _ result: Digest, place: String, rule: Int,
        into files: inout SiteFiles
    ) throws {
        guard let path = store.path(of: result) else {
            throw Failure(.storeDamaged, "a build result is gone from the store", suggestion: "bake again")
        }
        let tar = try MappedBytes(file: path)
        let archive = ArchiveFiles(
            rule: FileRule(from: copy.from, to: copy.to, mode: copy.mode, owner: copy.owner), index: rule,
            name: recipe.builds[index].label(index), stated: place)
        files.add(try archive.items(tar, at: copy.from), of: tar)
    }

    /// Puts everything of a run together: its root with all files, and its secrets.
    private func prepare(
        _ index: Int, _ base: BaseImage, _ results: [Int: Digest], wanted: [String]
    ) async throws -> BuildRun {
        let step = recipe.builds[index]
        var root = step.root(of: recipe)
        root.files = step.files
        let home = getenv("HOME").map { String(cString: $0) }
        let secrets = try step.secrets.enumerated().map { number, secret in
            try BuildSecret(
                secret, specFolder: specFolder, home: home,
                place: "\(BuildStep.place(index)).secrets[\(number)]")
        }
        var files = files[index]
        try await SourceFetcher(store: store).add(root, lock, to: &files)
        for (number, taken) in step.taken.enumerated() {
            guard let result = results[taken.step] else { continue }
            try take(
                taken.copy, of: taken.step, result, place: "\(BuildStep.place(index)).files",
                rule: step.files.count + number, into: &files)
        }
        var lookup = ImageLookup(base.entries)
        let folders = BuildSteps.folders(
            [step.workingDirectory] + wanted.map { ImagePath.parent(of: $0) }, in: lookup)
        var layers = base.layers
        // One time for all: programs such as make take a newer source for a changed one.
        if let layer = try FilesLayer.write(
            files, others: folders.map { ($0, []) }, time: FilesLayer.firstTime, accounts: base.accounts,
            lookup: &lookup,
            store: store)
        {
            layers.append(layer)
        }
        var environment = ["PATH": ImageBaker.path]
        environment.merge(step.environment) { $1 }
        if var failure = ImageBaker.commandProblem(
            root, environment["PATH"] ?? "", step.workingDirectory, lookup)
        {
            failure.message = failure.message.replacing("the image has", with: "its root has")
            failure.suggestion =
                failure.suggestion.map {
                    $0.hasPrefix("add the package")
                        ? "add the package that has it to the step's `packages`" : $0
                }
            throw failure
        }
        return BuildRun(step: step, secrets: secrets, layers: layers, wanted: wanted, store: store)
    }

    /// The folders of these paths that are not there yet.
    private static func folders(_ paths: [String], in lookup: ImageLookup) -> [TarEntry] {
        let places = paths.compactMap { lookup.resolve($0) }.filter { !$0.isEmpty }
        return Set(places.flatMap { ImagePath.parents(of: $0) + [$0] }).filter { lookup[$0] == nil }.sorted()
            .map { TarEntry(path: $0, kind: .directory, mode: 0o755) }
    }
}

extension ByteWriter {
    mutating func put(_ copy: BuildStep.Copy) {
        put(copy.from)
        put(copy.to)
        put(copy.mode ?? -1)
        put(copy.owner ?? "")
    }
}
