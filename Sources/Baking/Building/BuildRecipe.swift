import ImageFormat
import Model

// What build steps ask for, as recipes and rules of their own.

extension BuildStep {
    /// The recipe of the step's root, without the files in it.
    func root(of recipe: Recipe) -> Recipe {
        Recipe(
            distribution: distribution ?? recipe.distribution, architecture: recipe.architecture,
            base: .essential, sources: recipe.sources, packages: packages, command: command,
            workingDirectory: workingDirectory, environment: environment)
    }

    /// What messages call it; `index` is its place among all.
    package func label(_ index: Int) -> String { "build step \(name ?? "\(index + 1)")" }

    static func place(_ index: Int) -> String { "image.build[\(index)]" }
}

extension Recipe {
    /// All rules about files, those of build steps too, and where each stands.
    var placedFiles: [(place: String, rule: FileRule)] {
        files.enumerated().map { (SiteFiles.place($0), $1) }
            + builds.enumerated().flatMap { step, build in
                build.files.enumerated().map { ("\(BuildStep.place(step)).files[\($0)]", $1) }
            }
    }

    /// The paths that each step has to leave, in the form of `TarEntry.path`: what goes into the image or into a later
    /// step. Sorted, without those inside others.
    var wantedResults: [[String]] {
        var wanted = builds.map { Set($0.copies.map { ImagePath.normalized($0.from) }) }
        for taken in builds.flatMap(\.taken) {
            wanted[taken.step].insert(ImagePath.normalized(taken.copy.from))
        }
        return wanted.map { paths in
            paths.filter { path in !ImagePath.parents(of: path).contains(where: paths.contains) }
                .sorted(by: TarEntry.precedes)
        }
    }

    /// The steps to run where the results of `known` are there: those whose results go into the image, and what they
    /// take of others, in their order.
    func neededBuilds(known: Set<Int>) -> [Int] {
        var needed: Set<Int> = []
        for index in builds.indices.reversed() where !known.contains(index) {
            let isTaken = needed.contains { later in builds[later].taken.contains { $0.step == index } }
            if !builds[index].copies.isEmpty || isTaken { needed.insert(index) }
        }
        return needed.sorted()
    }
}

extension Lock {
    /// Completes a lock with the packages of a recipe's build steps. `old`: the lock that is updated, and what of it may
    /// change, as for the image's own packages.
    mutating func addBuilds(
        _ recipe: Recipe, updating old: (lock: Lock, what: PackageSolver.Update)?,
        solve: (Recipe, _ old: (lock: Lock, what: PackageSolver.Update)?) async throws -> Lock
    ) async throws {
        builds = []
        for (index, step) in recipe.builds.enumerated() {
            let root = step.root(of: recipe)
            let requested = Lock.sorted(root.packages)
            if let same = builds.first(where: {
                $0.requested == requested && $0.distribution == root.distribution
            }
            ) {
                builds.append(same)
                continue
            }
            let kept = old?.lock.builds ?? []
            let before =
                kept.first { $0.requested == requested } ?? (kept.indices.contains(index) ? kept[index] : nil)
            do {
                builds.append(try await solve(root, old.flatMap { old in before.map { ($0, old.what) } }))
            } catch {
                throw Failures(Failure.list(error).map { BuildStep.blame($0, step, index) })
            }
        }
    }
}

extension BuildStep {
    /// A failure of a part of the work that knows images only, as one of this step.
    static func blame(_ failure: Failure, _ step: BuildStep, _ index: Int) -> Failure {
        var failure = failure
        let place = failure.place ?? ""
        if let key = ["packages", "files", "environment"].first(where: { place.hasPrefix("image.\($0)") }) {
            failure.place = BuildStep.place(index) + "." + key + place.dropFirst("image.\(key)".count)
        } else if place == "image.command" {
            failure.place = BuildStep.place(index) + ".run"
        } else if !place.hasPrefix("image.build") {
            let about = place.isEmpty ? "" : " (\(place))"
            failure.message = "\(step.label(index)): \(failure.message)\(about)"
            failure.place = BuildStep.place(index)
        }
        return failure
    }
}
