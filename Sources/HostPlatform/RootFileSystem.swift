internal import Glibc
internal import Model
internal import Ports
internal import Threads

/// The file systems of images: one EROFS file each, mounted read-only once and shared by all instances.
///
/// A file appears under its name only when it is whole and on disk; what is being made is in ROOT/tmp and swept at
/// the next start. So a crash at any point leaves a finished image or none.
actor RootFileSystem {
    private let root: HostRoot
    private let reader: any ImageReader
    private let runner = ProcessRunner()
    private let staging: Staging
    private var underWay: [Digest: Task<Void, any Error>] = [:]
    private var configs: [Digest: ImageConfig] = [:]
    private var mounts: [Digest: (mounts: PrivateMounts, launches: Int)] = [:]
    private var made = 0
    /// The files whose every byte was found to be as made, as they were then.
    private var intact: [Digest: FileIdentity] = [:]
    /// Is told of a file that was found altered, for the instances that run from it.
    private var tell: (@Sendable (ImagePatrol.Finding) -> Void)?

    init(_ root: HostRoot, reader: any ImageReader) {
        self.root = root
        self.reader = reader
        staging = Staging(root)
    }

    /// From now on `tell` hears of every file that a launch finds altered.
    func onAltered(_ tell: @escaping @Sendable (ImagePatrol.Finding) -> Void) { self.tell = tell }

    /// Makes and mounts an image's file system where that has not been done. Concurrent callers share the work.
    func prepare(_ image: Digest) async throws {
        if Files.isMountPoint(root.imageMount(image)), ImageSeal.exists(root.imageSeal(image)) { return }
        if let task = underWay[image] { return try await task.value }
        let task = Task { try await make(image) }
        underWay[image] = task
        defer { underWay[image] = nil }
        try await task.value
    }

    /// How an image starts. Images do not change, so it is read once.
    func config(_ image: Digest) throws -> ImageConfig {
        if let known = configs[image] { return known }
        let config = try reader.image(image).config
        configs[image] = config
        return config
    }

    private func make(_ image: Digest) async throws {
        if !Files.exists(root.imageFile(image)) || !ImageSeal.exists(root.imageSeal(image)) {
            // What is mounted without a seal is of a Kiln that made none.
            try unmount(image, isInUse: true)
            try await build(image)
        }
        try await mountFile(image)
    }

    /// Throws `storeDamaged` unless what is mounted of an image has exactly the bytes that were made of it. Reads them
    /// all when the file was touched since the last time, and the first time. What differs is put aside, so that the
    /// next launch has it made anew.
    func requireIntact(_ image: Digest) async throws {
        let (file, folder) = (root.imageFile(image), root.imageMount(image))
        let identity = FileIdentity(file)
        let isMounted = MountTable.source(of: folder) == file
        if let identity, isMounted, intact[image] == identity { return }
        var finding: ImagePatrol.Finding?
        if let identity, let seal = ImageSeal(reading: root.imageSeal(image)), seal.inode == identity.inode {
            finding = try await Blocking.run {
                guard let block = try ImageSeal(of: file).firstDifference(from: seal) else { return nil }
                return ImagePatrol.Finding(image, inode: seal.inode, block: block, mount: folder)
            }
        } else {
            finding = ImagePatrol.Finding(image, inode: identity?.inode ?? 0, mount: folder)
        }
        guard FileIdentity(file)?.inode == identity?.inode else {
            // Somebody else met it meanwhile and put it aside; there may be another one by now.
            throw Failure(
                .storeDamaged, "the file of \(image) was exchanged while it was read", at: image.short)
        }
        // Before it is unmounted, and whoever runs from it cannot be told from the others any more.
        if let finding { tell?(finding) }
        guard finding == nil, isMounted, FileIdentity(file) == identity else { throw try setAside(image) }
        intact[image] = identity
    }

    /// Puts an image's file aside that was found altered, so that the next launch has it made anew. Does nothing where
    /// there is another file by now.
    func quarantine(_ image: Digest, inode: UInt) {
        guard FileIdentity(root.imageFile(image))?.inode == inode else { return }
        _ = try? setAside(image)
    }

    private func setAside(_ image: Digest) throws -> Failure {
        intact[image] = nil
        let aside = root.alteredImage(image)
        // Instances that run keep what they have; only new ones ask for it here.
        try unmount(image, isInUse: true)
        ImageSeal.remove(root.imageSeal(image))
        let isKept = rename(root.imageFile(image), aside) == 0
        return Failure(
            .storeDamaged, "what was to be mounted of \(image) is not what was made of it", at: image.short,
            suggestion: (isKept ? "look who wrote to \(aside); " : "")
                + "the next launch makes it anew from the store")
    }

    private func build(_ image: Digest) async throws {
        made += 1
        let name = "\(image.short)-\(getpid())-\(made)"
        let work = "\(root.temporary)/\(name)"
        let inMemory = staging.makeFolder(name, for: try reader.image(image).size)
        let file = work + "/image.erofs"
        let folders = [work] + (inMemory.map { [$0] } ?? [])
        do {
            let tree = try RootFileSystem.makeTree(work: work, inMemory: inMemory)
            try await reader.unpack(image, into: tree)
            // Raw blocks: reading costs nothing, and the store keeps the compressed form. File times stay, because
            // servers derive validators from them.
            let result = try await runner.run(
                Command("mkfs.erofs", ["-x-1", "--quiet", file, tree]), limit: Limit.makeImage)
            guard result.status == 0 else { throw RootFileSystem.failure(result, for: image) }
            let seal = try await Blocking.run {
                try Files.sync(file)
                return try ImageSeal(of: file)
            }
            guard rename(file, root.imageFile(image)) == 0 else {
                throw SystemFailure.failure(errno, "cannot keep the file system of \(image)")
            }
            // Last, and with the folder: a file without a seal is one that a crash left.
            try seal.write(to: root.imageSeal(image))
        } catch {
            try? await Blocking.run { for folder in folders { try Files.removeTree(folder) } }
            throw error
        }
        // Nobody waits for the tree to go; the next start sweeps what a crash leaves of it.
        Task { try? await Blocking.run { for folder in folders { try Files.removeTree(folder) } } }
    }

    /// Makes the folders that an image is unpacked in; gives the one that becomes its root. It has the root's own mode,
    /// and lies in one that nobody else may enter: set-id programs and devices of the image are for instances only.
    static func makeTree(work: String, inMemory: String?) throws -> String {
        let closed = [work] + (inMemory.map { [$0] } ?? [])
        for folder in closed {
            try Files.makeFolder(folder, mode: 0o700)
            guard chmod(folder, 0o700) == 0 else {
                throw SystemFailure.failure(errno, "cannot close the folder", at: folder)
            }
        }
        let tree = (inMemory ?? work) + "/tree"
        try Files.makeFolder(tree)
        chmod(tree, 0o755)
        return tree
    }

    private static func failure(_ result: ProcessRunner.Result, for image: Digest) -> Failure {
        let words = result.errors + result.output
        if words.contains("No space left") || words.contains("ENOSPC") {
            return Failure(
                .diskFull, "no space for the file system of \(image.short)",
                suggestion: "free some space, then try again")
        }
        return Failure(.commandFailed, "mkfs.erofs ended with \(result.status): \(words.suffix(500))")
    }

    private func mountFile(_ image: Digest) async throws {
        let folder = root.imageMount(image)
        let file = root.imageFile(image)
        if Files.isMountPoint(folder) { return }
        mounts[image] = nil
        try Files.makeFolder(folder)
        let flags = UInt(MS_RDONLY) | UInt(MS_NODEV) | UInt(MS_NOSUID)
        if mount(file, folder, "erofs", flags, nil) == 0 { return }
        let code = errno
        // Kernels before 6.12 mount block devices only.
        guard code == ENOTBLK else { throw SystemFailure.failure(code, "cannot mount \(file)", at: folder) }
        try await runner.check(
            Command("mount", ["-t", "erofs", "-o", "ro,nodev,nosuid,loop", file, folder]), limit: Limit.start)
    }

    /// Mounts again what a reboot of the host unmounted, and sweeps what a crash left.
    func recover() async {
        staging.sweep()
        let temporary = root.temporary
        for name in Files.names(in: temporary) {
            try? await Blocking.run { try Files.removeTree("\(temporary)/\(name)") }
        }
        for image in known {
            let (seal, file) = (root.imageSeal(image), root.imageFile(image))
            if !ImageSeal.exists(seal) { try? await Blocking.run { try ImageSeal.renew(seal, of: file) } }
            if ImageSeal.exists(seal) { try? await mountFile(image) }
        }
    }

    /// The images that have a file.
    private var known: [Digest] { files(endingWith: ".erofs") }

    private func files(endingWith suffix: String) -> [Digest] {
        Files.names(in: root.images).filter { $0.hasSuffix(suffix) }.compactMap {
            try? Digest(hex: String($0.dropLast(suffix.count)))
        }
    }

    /// What the monitors of an image's instances live in, made while the image is mounted.
    func mounts(for image: Digest, of runtime: ContainerRuntime) throws -> PrivateMounts {
        if let known = mounts[image], known.launches < Limit.launchesInNamespace {
            mounts[image]?.launches += 1
            return known.mounts
        }
        let fresh = try runtime.mounts(for: image)
        mounts[image] = (fresh, 1)
        return fresh
    }

    /// Unmounts and deletes every image that is not in `images`.
    func forget(except images: Set<Digest>) throws {
        for image in known where !images.contains(image) && underWay[image] == nil {
            // First unmounted, then deleted: a crash between the two leaves a file that the next call finds.
            try unmount(image)
            unlink(root.imageFile(image))
            ImageSeal.remove(root.imageSeal(image))
            (configs[image], intact[image]) = (nil, nil)
        }
        // Also of images that were never made again.
        for image in files(endingWith: ".altered") where !images.contains(image) {
            unlink(root.alteredImage(image))
        }
    }

    /// - Parameter isInUse: whether instances may still run from it
    private func unmount(_ image: Digest, isInUse: Bool = false) throws {
        let folder = root.imageMount(image)
        mounts[image] = nil
        // Bounded: one mount is the rule, and a second can only come from a race with another daemon.
        for _ in 1...4 where Files.isMountPoint(folder) {
            guard umount2(folder, isInUse ? Int32(MNT_DETACH) : 0) == 0 else {
                throw SystemFailure.failure(errno, "cannot unmount the image", at: folder)
            }
        }
        rmdir(folder)
    }

    func unmountAll() throws { for image in known { try unmount(image) } }
}
