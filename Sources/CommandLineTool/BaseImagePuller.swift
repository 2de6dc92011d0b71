internal import Baking
internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient

/// Finds the images that recipes build on: in registries, layouts and archives beside the spec, and in the store.
struct BaseImagePuller: ImagePuller {
    let store: any ImageStore
    /// The folder that paths begin in: the spec's.
    let folder: String
    let settings: RegistrySettings

    func resolve(_ request: Recipe.ImageRequest, for architecture: Architecture) async throws -> Digest {
        if let file = request.dockerfile { return try await build(beside(file), architecture) }
        return try await withSource(request, digest: request.digest) { source in
            let plan = try await plan(source, architecture)
            let wanted = request.digest ?? plan.root.digest
            guard [plan.root.digest, plan.index?.digest].contains(wanted) else {
                throw BaseImagePuller.changed(source, plan.root.digest, wanted)
            }
            return plan.root.digest
        }
    }

    func pull(
        _ request: Recipe.ImageRequest, _ digest: Digest, for architecture: Architecture
    ) async throws {
        if let file = request.dockerfile {
            throw Failure(
                .notFound, "the image that was built of \(file) is not in this store", at: "\(digest)",
                suggestion:
                    "build it anew with `kiln lock`; or push it to a registry by buildah, and name it in `from`"
            )
        }
        try await withSource(request, digest: digest) { source in
            let plan = try await plan(source, architecture)
            guard plan.root.digest == digest else {
                throw BaseImagePuller.changed(source, plan.root.digest, digest)
            }
            try await keep(plan, of: source)
        }
    }

    /// Builds a Dockerfile, and keeps the image in the store.
    private func build(_ file: String, _ architecture: Architecture) async throws -> Digest {
        Screen.progress("building \(file)")
        let layout = try store.temporaryPath()
        defer { try? FileManager.default.removeItem(atPath: layout) }
        try await DockerfileBuild(
            file: file, architecture: architecture, environment: ProcessInfo.processInfo.environment
        ).run(into: layout)
        let source = LayoutSource(folder: layout, tag: nil)
        let plan = try await plan(source, architecture)
        try await keep(plan, of: source)
        return plan.root.digest
    }

    private func keep(_ plan: CopyPlan, of source: any ImageSource) async throws {
        _ = try await ImageCopier(from: source, to: BlobSink(store), meter: Meter(ImageTransfer.show)).run(
            plan)
    }

    private func plan(_ source: any ImageSource, _ architecture: Architecture) async throws -> CopyPlan {
        try await CopyPlan.of(source, .one(OCIPlatform(os: "linux", architecture: architecture.rawValue)))
    }

    private static func changed(_ source: any ImageSource, _ found: Digest, _ wanted: Digest) -> Failure {
        Failure(
            .hashMismatch, "\(source.place) is \(found) now, and \(wanted) is asked for",
            suggestion: "take the new one with `kiln lock`, or bring the old one back")
    }

    private func withSource<Result>(
        _ request: Recipe.ImageRequest, digest: Digest?, _ body: (any ImageSource) async throws -> Result
    ) async throws -> Result {
        try await RegistryOptions.withClient(settings) { client in
            let transfer = ImageTransfer(client: client, openStore: { store })
            var location = try ImageLocation(parsing: request.name)
            switch location {
            case .registry(var reference):
                if let digest { (reference.tag, reference.digest) = (nil, digest) }
                location = .registry(reference)
            case .layout(let path, let tag): location = .layout(folder: beside(path), tag: tag)
            case .ociArchive(let path, let tag): location = .ociArchive(file: beside(path), tag: tag)
            case .dockerArchive(let path, let name): location = .dockerArchive(file: beside(path), name: name)
            case .store(let name):
                // A short name that means another registry on each machine is no name.
                do {
                    _ = try ImageName.find(name, in: store)
                } catch var failure as Failure where failure.code == .notFound {
                    failure.suggestion = "write the registry too, such as docker.io/library/\(name)"
                    throw failure
                }
            }
            return try await body(try transfer.source(location, .one(.native)))
        }
    }

    private func beside(_ path: String) -> String { path.hasPrefix("/") ? path : folder + "/" + path }
}
