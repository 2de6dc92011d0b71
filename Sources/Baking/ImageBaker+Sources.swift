package import Model
import Ports

/// What a lock holds besides packages: the image below, downloads, parts of repositories.
extension ImageBaker {
    /// The packages that the image below has, for `PackageSolver`; nil where there is no such image. The lock has to
    /// name it already.
    package func statusBelow(_ lock: Lock, _ recipe: Recipe) async throws -> String? {
        try await below(recipe, lock).map { try BelowPackages($0, store: store).status() }
    }

    /// Completes a lock with what the recipe takes from elsewhere besides packages, which is brought into the store.
    /// Branches and tags stay at the commits of `old`.
    package func lockSources(_ lock: inout Lock, _ recipe: Recipe, keeping old: Lock? = nil) async throws {
        var failures: [Failure] = []
        do {
            lock.fetched = try await SourceFetcher(store: store).lock(recipe, keeping: old)
        } catch {
            failures += Failure.list(error)
        }
        do {
            try await lockImage(&lock, recipe, keeping: old)
        } catch {
            failures += Failure.list(error).map { $0.at("image.from") }
        }
        if !failures.isEmpty { throw Failures(failures) }
    }

    private func lockImage(_ lock: inout Lock, _ recipe: Recipe, keeping old: Lock?) async throws {
        guard let request = recipe.from else { return }
        if let kept = old?.from, kept.name == request.description {
            lock.from = kept
        } else {
            guard let puller else {
                throw Failure(.notFound, "the image \(request) cannot be looked up here")
            }
            lock.from = Lock.BaseImage(
                name: request.description, digest: try await puller.resolve(request, for: recipe.architecture)
            )
        }
        // Proven before it is written down, and here when it is baked.
        _ = try await below(recipe, lock)
    }

    func below(_ recipe: Recipe, _ lock: Lock) async throws -> FromImage? {
        guard let from = lock.from else { return nil }
        return try await FromImage.open(from, recipe, store: store, puller: puller)
    }
}
