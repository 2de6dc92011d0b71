internal import Foundation
internal import ImageFormat
internal import Model
internal import Ports
internal import RegistryClient
internal import Trust

/// Moves one image between two places and tells how far it is.
struct ImageTransfer {
    let client: RegistryClient
    /// Opened only where the store takes part: a copy from one registry to another needs none.
    let openStore: () throws -> any ImageStore

    struct Answer: Encodable {
        var digest: Digest
        var mediaType: String
        var from: String
        var to: String
        var blobs: Int
        var blobsMoved: Int
        var bytesMoved: Int
        var referrers: [Digest]?
        /// How many documents that speak for the image came with it, beyond those that were here.
        var evidence: Int?
    }

    /// What was signed of one digest that goes along.
    struct Carried {
        var subject: Digest
        var evidence: [Evidence]
    }

    func run(
        from: ImageLocation, to: ImageLocation, choice: PlatformChoice, withReferrers: Bool = false,
        attaching attachments: [Attachment] = [], carrying carried: [Carried] = []
    ) async throws -> Answer {
        guard ImageTransfer.isStore(from) || ImageTransfer.isStore(to) else {
            return try await move(from, to, choice, withReferrers)
        }
        return try await openStore().inUse {
            var answer = try await move(from, to, choice, withReferrers)
            var referrers: [Digest] = []
            if !attachments.isEmpty { referrers += try await attach(attachments, answer.digest, to) }
            if case .registry(let reference) = to { referrers += try await carry(carried, to: reference) }
            if !referrers.isEmpty { answer.referrers = referrers }
            if case .registry(let reference) = from, case .store = to {
                answer.evidence = await bringEvidence(answer.digest, from: reference)
            }
            return answer
        }
    }

    /// Brings what lies beside an image in a registry. nil where that cannot be had: the image is here all the same, and
    /// whoever asks for signatures will miss them.
    private func bringEvidence(_ digest: Digest, from reference: RegistryReference) async -> Int? {
        do {
            let store = try openStore()
            var count = 0
            for record in try store.images() where record.digest == digest || record.index == digest {
                for subject in [record.index, record.digest].compactMap({ $0 }) {
                    let found = try await ImageSigner(client: client, reference: reference).evidence(
                        for: subject)
                    count += try await store.add(
                        evidence: found.prefix(TrustPolicy.Limit.evidence).map(\.stored), to: record.digest)
                }
            }
            return count
        } catch {
            Screen.warn("what is signed of the image could not be fetched: \(Failure.list(error)[0].message)")
            return nil
        }
    }

    private func carry(_ carried: [Carried], to reference: RegistryReference) async throws -> [Digest] {
        let signer = ImageSigner(client: client, reference: reference)
        var digests: [Digest] = []
        var isNewOnly = false
        for one in carried {
            let found = try await signer.carry(one.evidence, about: one.subject)
            digests += found.bundles
            isNewOnly = isNewOnly || found.isNewOnly
        }
        if isNewOnly {
            Screen.note(
                "cosign before 3 finds no signature there, since the older form says where the image lies: "
                    + "kiln image sign IMAGE \(reference) --key NAME makes it")
        }
        return digests
    }

    private func attach(
        _ attachments: [Attachment], _ subject: Digest, _ target: ImageLocation
    ) async throws -> [Digest] {
        guard case .registry(let reference) = target else {
            throw Failure(
                .invalidArgument, "only a registry keeps a bill of materials beside an image",
                suggestion: "write it to a file: `kiln image sbom`")
        }
        var digests: [Digest] = []
        for attachment in attachments {
            digests.append(try await client.attach(attachment, to: subject, at: reference))
        }
        return digests
    }

    private static func isStore(_ location: ImageLocation) -> Bool {
        if case .store = location { true } else { false }
    }

    private func move(
        _ from: ImageLocation, _ to: ImageLocation, _ choice: PlatformChoice, _ withReferrers: Bool
    ) async throws -> Answer {
        let source = try source(from, choice)
        let meter = Meter(ImageTransfer.show)
        let plan = try await CopyPlan.of(source, choice)
        if ImageTransfer.isLayout(to), plan.root.mediaType.contains("docker") {
            Screen.warn(
                "the manifest is of Docker's kind and stays so; some tools do not find it in a layout of OCI's"
            )
        }
        let sink = try await sink(to, from: from, plan: plan, source: source)
        let report = try await ImageCopier(from: source, to: sink, meter: meter).run(plan)
        var answer = Answer(
            digest: report.digest, mediaType: report.mediaType, from: "\(from)", to: "\(to)",
            blobs: report.blobs,
            blobsMoved: report.blobsMoved, bytesMoved: report.bytesMoved)
        if withReferrers {
            guard case .registry(let old) = from, case .registry(let new) = to else {
                throw Failure(.invalidArgument, "--referrers is for copies from registry to registry")
            }
            var copied: [Digest] = []
            for digest in [plan.root.digest] + plan.documents.map(\.digest) {
                copied += try await client.copyReferrers(of: digest, from: old, to: new, meter: meter)
            }
            answer.referrers = copied
        }
        return answer
    }

    private static func isLayout(_ location: ImageLocation) -> Bool {
        switch location {
        case .layout, .ociArchive: true
        default: false
        }
    }

    func source(_ location: ImageLocation, _ choice: PlatformChoice) throws -> any ImageSource {
        switch location {
        case .registry(let reference): return try client.source(reference)
        case .layout(let folder, let tag): return LayoutSource(folder: folder, tag: tag)
        case .ociArchive(let file, let tag): return try LayoutSource(archive: file, tag: tag)
        case .dockerArchive(let file, let name): return try DockerArchiveSource(file, name: name)
        case .store(let name):
            let store = try openStore()
            let record = try ImageName.find(name, in: store)
            let digest = choice == .all ? record.index ?? record.digest : record.digest
            return StoreSource(store, digest, called: name)
        }
    }

    private func sink(
        _ location: ImageLocation, from: ImageLocation, plan: CopyPlan, source: any ImageSource
    ) async throws -> any ImageSink {
        switch location {
        case .registry(let reference):
            var origin: RegistryReference?
            if case .registry(let old) = from { origin = old }
            if case .store(let name) = from { origin = try knownPlace(name, at: reference.host) }
            return client.sink(reference, mountFrom: origin)
        case .layout(let folder, let tag): return try LayoutFolderSink(folder: folder, tag: tag)
        case .ociArchive(let file, let tag): return ArchiveSink(file: file, name: tag, isDocker: false)
        case .dockerArchive(let file, let name):
            return ArchiveSink(file: file, name: name ?? ImageTransfer.name(of: from), isDocker: true)
        case .store(let name):
            return try await StoreSink(
                try openStore(), plan, from: source, name: name.isEmpty ? nil : name, now: Instant.fromClock)
        }
    }

    /// A repository of the registry that has the image's blobs, because it came from there or went there.
    private func knownPlace(_ name: String, at host: RegistryHost) throws -> RegistryReference? {
        let names = try ImageName.find(name, in: try openStore()).names ?? []
        return names.compactMap { try? RegistryReference(parsing: $0) }.first { $0.host == host }
    }

    /// What an image is called in an archive of Docker's that is not told otherwise.
    private static func name(of location: ImageLocation) -> String? {
        switch location {
        case .registry(let reference):
            "\(reference.host)/\(reference.repository):\((reference.tag ?? .latest))"
        case .store(let name): name.hasPrefix("sha256:") ? nil : name
        default: nil
        }
    }

    /// A moving line for people.
    @Sendable static func show(_ progress: TransferProgress) {
        let share = progress.bytesTotal > 0 ? progress.bytesDone * 20 / progress.bytesTotal : 0
        let full = min(max(share, 0), 20)
        let bar = String(repeating: "█", count: full) + String(repeating: "░", count: 20 - full)
        let (done, total) = (
            ByteCount(bytes: max(progress.bytesDone, 0)), ByteCount(bytes: progress.bytesTotal)
        )
        Screen.progress(
            "\(bar) \(done.readable) of \(total.readable), \(progress.blobsDone)/\(progress.blobsTotal) blobs"
        )
    }
}
